// Package clients runs the real oc and the real kubectl against the server of adapters/apiserver. The modules oc and
// kubectl below it build the two; "make clients" does that, and then runs these tests.
//
// The tests are transcripts, testdata/*.txt: what a person types, and what comes out. Three things judge them. The text
// stands in the transcript. What this library says for the same state, by describe and by the words of oc, which the
// conformance vectors hold to the real system, must be the same text, and leave the same streams. And what is stored
// afterwards is asked for.
//
// A cluster's errors have other words behind how they begin; reasons and exit codes are the same. This oc, the newest
// that the module proxy can build, does not tell the server of a dry run when it creates something.
package clients
