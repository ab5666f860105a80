// Package fakes has a Store and a Registry that work, in memory, for tests and small programs.
//
// They pass the same suites as the real ones, fakes/storetest and fakes/registrytest: a test that runs on
// them shows what a program does, not which calls it makes. Assert on what is stored.
//
// Nothing is random: uids and resource versions are counted, so a test sees the same ones every time. The
// zero values are ready for use.
package fakes
