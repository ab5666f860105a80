// Package oc has no code: its module names the real oc as a tool, so that tests can run it without depending on it.
package oc
