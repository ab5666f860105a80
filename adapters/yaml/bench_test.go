package yaml_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/adapters/yaml"
)

// deployments is a stream of n Deployments with three images each, of which two are names of image streams.
func deployments(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `---
# Deployment %[1]d
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-%[1]d
  namespace: shop
  labels:
    app.kubernetes.io/name: web-%[1]d
    app.kubernetes.io/part-of: shop
  annotations:
    description: "What the shop's window number %[1]d shows to those who walk by"
spec:
  replicas: 3
  selector:
    matchLabels:
      app.kubernetes.io/name: web-%[1]d
  template:
    metadata:
      labels:
        app.kubernetes.io/name: web-%[1]d
    spec:
      initContainers:
        - name: migrate
          image: nodejs:20 # the same as below
          args: [migrate, --all]
      containers:
        - name: web
          image: nodejs:20
          ports:
            - containerPort: 8080
              name: http
          env:
            - name: LOG_LEVEL
              value: info
            - name: DATABASE
              valueFrom:
                secretKeyRef: {name: database, key: url}
          resources:
            requests: {cpu: 100m, memory: 128Mi}
            limits: {cpu: "1", memory: 512Mi}
          readinessProbe:
            httpGet:
              path: /healthz
              port: http
            initialDelaySeconds: 5
        - name: proxy
          image: quay.io/org/proxy:v1.%[1]d
          args:
            - --listen=:8443
            - --upstream=http://localhost:8080
      volumes:
        - name: data
          emptyDir: {}
`, i)
	}
	return b.Bytes()
}

// BenchmarkRewrite sets rewriting beside parsing and emitting the same stream with the same library.
func BenchmarkRewrite(b *testing.B) {
	src := deployments(1000)
	none := bytes.ReplaceAll(src, []byte("image"), []byte("inage"))
	b.Run("rewrite", func(b *testing.B) { benchRewrite(b, src) })
	b.Run("without-images", func(b *testing.B) { benchRewrite(b, none) })
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			if err := eachNode(src, func(*goyaml.Node) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse-emit", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			encoder := goyaml.NewEncoder(io.Discard)
			err := eachNode(src, func(n *goyaml.Node) error { return encoder.Encode(n) })
			if err := errors.Join(err, encoder.Close()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOneLine is a file without line breaks: 4 times the pods must be 4 times the work.
func BenchmarkOneLine(b *testing.B) {
	for _, n := range []int{1000, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchRewrite(b, oneLine(n)) })
	}
}

func oneLine(n int) []byte {
	pods := bytes.Repeat([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"é"},"spec":{"containers":[{"image":"nodejs:20"}]}},`), n)
	return append(append([]byte(`{"apiVersion":"v1","kind":"List","items":[`), bytes.TrimSuffix(pods, []byte(","))...),
		"]}"...)
}

func benchRewrite(b *testing.B, src []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := rewriter(yaml.Options{}).Rewrite(context.Background(), src); err != nil {
			b.Fatal(err)
		}
	}
}

func eachNode(src []byte, do func(*goyaml.Node) error) error {
	for decoder := goyaml.NewDecoder(bytes.NewReader(src)); ; {
		var n goyaml.Node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := do(&n); err != nil {
			return err
		}
	}
}
