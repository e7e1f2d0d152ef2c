package main

import "time"

// retry calls do until it succeeds or patience ends.
func retry(do func() error) error {
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		err := do()
		if err == nil || time.Since(began) > patience {
			return err
		}
	}
}
