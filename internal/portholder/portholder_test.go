package portholder

import "testing"

func TestHolderString(t *testing.T) {
	for want, h := range map[string]Holder{
		"python3 app.py (pid 4711)":  {PID: 4711, Command: "python3 app.py", User: "ann", UID: 1000},
		"pid 4711":                   {PID: 4711},
		"a process of user www-data": {UID: 33, User: "www-data"},
		"a process of user 1234":     {UID: 1234},
		"a process of user 0":        {},
	} {
		if got := h.String(); got != want {
			t.Errorf("%+v: %q, want %q", h, got, want)
		}
	}
}
