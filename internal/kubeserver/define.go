package kubeserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Define creates custom resource definitions, YAML documents, and waits until the server has their resources.
func (s *Server) Define(definitions []byte) error {
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	for document := range bytes.SplitSeq(definitions, []byte("\n---\n")) {
		text, err := s.send(http.MethodPost, path+"?fieldValidation=Strict", document)
		if err != nil {
			return err
		}
		var definition struct {
			Spec struct {
				Group    string
				Names    struct{ Plural string }
				Versions []struct{ Name string }
			}
		}
		if err := json.Unmarshal(text, &definition); err != nil {
			return err
		}
		spec := definition.Spec
		resource := fmt.Sprintf("/apis/%s/%s/%s", spec.Group, spec.Versions[0].Name, spec.Names.Plural)
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if _, err = s.send(http.MethodGet, resource, nil); err == nil {
				break
			}
			if time.Since(begin) > patience {
				return err
			}
		}
	}
	return nil
}

// send returns the JSON that the server answers to a request with a YAML body.
func (s *Server) send(method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequest(method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/yaml")
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return text, err
}
