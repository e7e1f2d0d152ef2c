package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const curlTime = 2 * time.Second

// ownNames is the first libcurl that finds *.localhost by itself, as
// CurlVersion tells it.
const ownNames = 7_085

var libcurl = regexp.MustCompile(`\blibcurl/(\d+)\.(\d+)`)

// AskCurl returns the version of libcurl that a curl uses: 7088 is 7.88. It
// gives up after two seconds.
func AskCurl(ctx context.Context, program string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, curlTime)
	defer cancel()
	out, _, err := run(ctx, program, "-q", "--version")
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %v", program, err)
	}
	m := libcurl.FindStringSubmatch(out)
	if m == nil {
		return 0, errors.New("curl does not tell its version")
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, err
	}
	minor, err := strconv.Atoi(m[2])
	if err != nil {
		return 0, err
	}
	return major*1000 + minor, nil
}

// findsLocalhost reports whether a client finds *.localhost without the
// system. git's libcurl is of curl's version, where both are the
// distribution's.
func (m Machine) findsLocalhost(ctx context.Context, r rule) bool {
	if !r.finds || r.source == fromBrowser {
		return r.finds
	}
	curl := m.program(rule{programs: []string{"curl"}})
	if curl == "" {
		return false
	}
	version, err := m.Curl(ctx, curl)
	return err == nil && version >= ownNames
}
