package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A table is rows of cells, the head first.
type table [][]string

// write appends the table as Markdown whose columns stand below each other, so that
// it can be read in a terminal as well. Without a row below the head, or a column
// beside the first, there is none.
func (t table) write(out *strings.Builder, about string) {
	if len(t) < 2 || len(t[0]) < 2 {
		return
	}
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), len("---"))
		}
	}
	fmt.Fprintf(out, "\n%s:\n\n", about)
	for i, row := range t {
		for column, cell := range row {
			fmt.Fprintf(out, "| %s%s ", cell, strings.Repeat(" ", widths[column]-utf8.RuneCountInString(cell)))
		}
		out.WriteString("|\n")
		if i == 0 {
			for _, width := range widths {
				fmt.Fprintf(out, "| %s ", strings.Repeat("-", width))
			}
			out.WriteString("|\n")
		}
	}
}
