package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
)

// hasFloat reports whether JSON, as Kubernetes has it in memory, has a number that is not a whole one of 64 bits.
func hasFloat(value any) bool {
	switch v := value.(type) {
	case float64:
		return true
	case map[string]any:
		for _, member := range v {
			if hasFloat(member) {
				return true
			}
		}
	case []any:
		for _, element := range v {
			if hasFloat(element) {
				return true
			}
		}
	}
	return false
}

// checkNumbers returns an error if JSON has a number that Kubernetes would change, since it holds floats of 64 bits.
func checkNumbers(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n, ok := token.(json.Number); ok && !isKept(n.String()) {
			return fmt.Errorf("a Kubernetes cluster cannot hold the number %s: it has 64 bits", n)
		}
	}
}

func isKept(number string) bool {
	if _, err := strconv.ParseInt(number, 10, 64); err == nil {
		return true
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return false
	}
	given, ok := new(big.Rat).SetString(number)
	if !ok {
		return false
	}
	kept, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	return ok && kept.Cmp(given) == 0
}
