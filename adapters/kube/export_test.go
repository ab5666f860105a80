package kube

import "time"

// Hasten lets watches that were interrupted go on without a pause.
func (s *Store) Hasten() { s.streams.maxPause = time.Microsecond }
