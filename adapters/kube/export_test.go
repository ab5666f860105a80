package kube

import "time"

// Hasten lets watches of streams that were interrupted go on without a pause, and give up soon.
func (s *Store) Hasten() {
	s.streams.maxPause, s.streams.patience = time.Microsecond, 50*time.Millisecond
}
