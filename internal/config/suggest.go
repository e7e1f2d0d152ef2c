package config

import "strings"

// nearest returns the candidate that word is probably a misspelling of, or ""
// when none is near. Of equally near ones it takes the first.
func nearest(word string, candidates []string) string {
	const longest = 64 // no key is longer; spares the work for absurd ones
	if len(word) > longest {
		return ""
	}
	const never = 3
	best, bestDistance := "", never
	for _, c := range candidates {
		d := distance(word, c)
		if len(c) < 5 && d > 1 {
			d = never // short words are near everything
		}
		if d >= never && min(len(word), len(c)) >= 3 && (strings.HasPrefix(word, c) || strings.HasPrefix(c, word)) {
			d = never - 1 // "warning" for "warn"
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour to turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := 1
			if a[i-1] == b[j-1] {
				replace = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
