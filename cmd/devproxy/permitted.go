package main

import (
	"fmt"
	"slices"
	"strings"

	"devproxy/internal/config"
	"devproxy/internal/issuer"
)

// checkOwnMaking refuses a CA that may sign for more than devproxy would ever
// make one for. Whoever can write where it lies can put another there, and the
// next trust would have the whole machine believe it.
func (a *app) checkOwnMaking(ca *issuer.CA, state string) error {
	may, usual := ca.Constraints(), issuer.NewConstraints(nil)
	var strange []string
	for _, domain := range may.DNS {
		if err := config.CheckDomain(domain); err != nil && !slices.Contains(usual.DNS, domain) {
			strange = append(strange, domain)
		}
	}
	for _, prefix := range may.IP {
		if !slices.Contains(usual.IP, prefix) {
			strange = append(strange, prefix.String())
		}
	}
	if len(strange) == 0 {
		return nil
	}
	return withHint(fmt.Errorf("CA %q may sign for %s: devproxy makes no such CA, so nothing is made to trust it", issuer.Path(state), strings.Join(strange, ", ")),
		"find out who put it there; then %s, delete that file, and run %s", a.command("untrust"), a.command("trust"))
}
