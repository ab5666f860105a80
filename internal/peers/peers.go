// Package peers compares the object model with the real API's types, github.com/openshift/api: the same JSON,
// and what each costs in one run. It is a module of its own, so that nobody else gets the modules
// that those types need.
package peers
