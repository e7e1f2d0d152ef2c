package proxy

import (
	"strings"

	"devproxy/internal/hostname"
)

// nearest returns the route of the table whose host was most likely meant by
// host, or nil if none is close. Wildcards are not looked at: there is no URL
// to offer for them.
func (s *snapshot) nearest(host string) *Route {
	var found *Route
	best := maxTypos(host) + 1
	for _, r := range s.routes {
		if strings.HasPrefix(r.Host, "*.") {
			continue
		}
		if d := typos(host, r.Host, best); d < best {
			found, best = r, d
		}
	}
	return found
}

// maxTypos is how far a name may be from what was meant: the shorter the
// label, the sooner a different one is meant.
func maxTypos(host string) int {
	label := strings.TrimSuffix(host, "."+hostname.Parent(host))
	switch n := len(label); {
	case n <= 2:
		return 1
	case n <= 6:
		return 2
	default:
		return 3
	}
}

// typos returns the number of letters to insert, delete, replace or swap with
// their neighbour to get from a to b, or limit if it is at least that.
func typos(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	// What both begin and end with needs no letter, and is most of what there is to
	// compare with thousands of hosts.
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	// Rows of the edit distance matrix, for the prefixes of a one and two
	// letters shorter and for the current one.
	var few [48]int
	width, rows := len(b)+1, few[:]
	if 3*width > len(rows) {
		rows = make([]int, 3*width)
	}
	before, last, row := rows[:width], rows[width:2*width], rows[2*width:3*width]
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		lowest := row[0]
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			d := min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row[j+1] = d
			lowest = min(lowest, d)
		}
		if lowest >= limit {
			return limit
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
