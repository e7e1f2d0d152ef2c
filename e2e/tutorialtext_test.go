package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A tutorial is Markdown whose fenced blocks are all run, by these rules:
//
//	```sh              typed in the first terminal, and succeeds
//	```sh fails        the same for one command, which fails
//	```sh terminal=2   typed in that terminal, after Ctrl-C to what runs there;
//	                   it keeps running, and is ready once it has shown the
//	                   text block that follows
//	```text            what the block before shows, all of it
//	```text terminal=2 what that terminal shows next
//	```python …        a file, whose first line is "# NAME"; also toml and ini
//
// In expected text "…" stands for anything within a line and, alone in one, for
// any lines. Dates, times and hexadecimal numbers (of 8 digits, or from 16 on)
// stand for any other.

// A block is one fenced block.
type block struct {
	line     int // of its opening fence
	lang     string
	terminal int // of sh and text; 0 in text that follows its sh
	fails    bool
	text     string
}

// A step is a block, or an sh block with the text that is expected of it.
type step struct {
	block
	name string // of a file
	want *block
}

// firstTerminal is where people type.
const firstTerminal = 1

// fileLanguages are the blocks that are files.
var fileLanguages = []string{"python", "toml", "ini"}

// parseBlocks returns the fenced blocks of a document.
func parseBlocks(text string) ([]block, error) {
	var blocks []block
	open := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case !fence && !open && (strings.HasPrefix(strings.TrimSpace(line), "```") || strings.HasPrefix(line, "~~~")):
			return nil, fmt.Errorf("line %d: a block has to begin with three backquotes at the start of the line", number)
		case !fence && open:
			blocks[len(blocks)-1].text += line + "\n"
		case fence && !open:
			b, err := parseInfo(info)
			if err != nil {
				return nil, fmt.Errorf("line %d: %v", number, err)
			}
			b.line = number
			blocks = append(blocks, b)
			open = true
		case fence && info != "":
			return nil, fmt.Errorf("line %d: a block begins within the one of line %d", number, blocks[len(blocks)-1].line)
		case fence:
			open = false
		}
	}
	if open {
		return nil, fmt.Errorf("line %d: the block does not end", blocks[len(blocks)-1].line)
	}
	return blocks, nil
}

// parseInfo reads what follows an opening fence.
func parseInfo(info string) (block, error) {
	words := strings.Fields(info)
	if len(words) == 0 {
		return block{}, errors.New("a block without a language")
	}
	b := block{lang: words[0]}
	if b.lang != "sh" && b.lang != "text" && !slices.Contains(fileLanguages, b.lang) {
		return block{}, fmt.Errorf("a block of %q is neither run nor compared", b.lang)
	}
	for _, word := range words[1:] {
		number, terminal := strings.CutPrefix(word, "terminal=")
		n, err := strconv.Atoi(number)
		switch {
		case terminal && err == nil && n > firstTerminal && (b.lang == "sh" || b.lang == "text"):
			b.terminal = n
		case word == "fails" && b.lang == "sh":
			b.fails = true
		default:
			return block{}, fmt.Errorf("%q means nothing for a block of %s", word, b.lang)
		}
	}
	if b.lang == "sh" && b.terminal == 0 {
		b.terminal = firstTerminal
	}
	if b.fails && b.terminal != firstTerminal {
		return block{}, errors.New("what keeps running in another terminal cannot fail")
	}
	return b, nil
}

// steps puts each block into exactly one step.
func steps(blocks []block) ([]step, error) {
	var all []step
	for i, b := range blocks {
		s := step{block: b}
		var next *block
		if i+1 < len(blocks) && blocks[i+1].lang == "text" && blocks[i+1].terminal == 0 {
			next = &blocks[i+1]
		}
		switch b.lang {
		case "sh":
			s.want = next
			command := strings.ReplaceAll(strings.TrimSpace(b.text), "\\\n", " ")
			switch {
			case b.terminal != firstTerminal && next == nil:
				return nil, fmt.Errorf("line %d: nothing says when what runs in terminal %d is ready", b.line, b.terminal)
			case b.fails && next == nil:
				return nil, fmt.Errorf("line %d: nothing says how it fails", b.line)
			case b.fails && strings.Contains(command, "\n"):
				return nil, fmt.Errorf("line %d: of several commands the first could be the one that fails", b.line)
			}
		case "text":
			if b.terminal == 0 {
				if i == 0 || blocks[i-1].lang != "sh" {
					return nil, fmt.Errorf("line %d: no command before this text shows it", b.line)
				}
				continue // part of the step before
			}
			s.want = &blocks[i]
		default:
			name, ok := strings.CutPrefix(strings.SplitN(b.text, "\n", 2)[0], "# ")
			if !ok || name == "" || filepath.Base(name) != name {
				return nil, fmt.Errorf("line %d: the first line of a file is its name: # app.py", b.line)
			}
			s.name = name
		}
		all = append(all, s)
	}
	return all, nil
}

// varying are parts of expected text that differ from run to run.
var varying = []string{
	`(?:[0-9A-Fa-f]{2}:){7,}[0-9A-Fa-f]{2}`,
	`\d{4}-\d\d-\d\d`,
	`\d\d:\d\d:\d\d(?:\.\d+)?`,
	`\b[0-9a-f]{8}(?:[0-9a-f]{8,})?\b`,
}

var variable = regexp.MustCompile(`…|  +|` + strings.Join(varying, "|"))

// expected returns the expression for expected text, from the beginning of
// what was shown.
func expected(want string) string {
	var expr strings.Builder
	expr.WriteString(`\A`)
	for line := range strings.Lines(want) {
		line = strings.TrimRight(line, " \n")
		if line == "…" {
			expr.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		rest := line
		for _, at := range variable.FindAllStringIndex(line, -1) {
			literal := line[len(line)-len(rest) : at[0]]
			rest = line[at[1]:]
			expr.WriteString(regexp.QuoteMeta(literal))
			switch found := line[at[0]:at[1]]; {
			case found == "…":
				expr.WriteString(`[^\n]*?`)
			case found[0] == ' ': // columns are as wide as what varies in them
				expr.WriteString(`  +`)
			default:
				expr.WriteString(`(?:` + varying[slices.IndexFunc(varying, func(v string) bool {
					return regexp.MustCompile(`\A(?:` + v + `)\z`).MatchString(found)
				})] + `)`)
			}
		}
		expr.WriteString(regexp.QuoteMeta(rest) + `[ \t]*\n`)
	}
	return expr.String()
}

// matchAll reports whether text is all that was shown.
func matchAll(want, shown string) bool {
	if shown != "" && !strings.HasSuffix(shown, "\n") {
		shown += "\n"
	}
	return regexp.MustCompile(expected(want) + `\z`).MatchString(shown)
}

// matchStart returns how much of what was shown is the expected text, with
// which it begins; -1 if it does not (yet).
func matchStart(want, shown string) int {
	at := regexp.MustCompile(expected(want)).FindStringIndex(shown)
	if at == nil {
		return -1
	}
	return at[1]
}
