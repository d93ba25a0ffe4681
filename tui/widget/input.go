package widget

import (
	"sort"
	"strings"
)

// Input is one line of text being typed, with history and completion.
type Input struct {
	text    []rune
	at      int
	history []string
	back    int
	// Complete returns the candidates for the word being typed, given the whole
	// text before the cursor. It may be nil.
	Complete func(before string) []string
	choices  []string
	choice   int
	stem     string
}

// Reset empties the line.
func (in *Input) Reset(text string) {
	in.text = []rune(text)
	in.at, in.back, in.choices = len(in.text), 0, nil
}

// Value is the text.
func (in *Input) Value() string { return string(in.text) }

// Cursor is the column of the cursor.
func (in *Input) Cursor() int { return Width(string(in.text[:in.at])) }

// Choices are the completions on offer and the index of the one in the line,
// -1 when none was taken yet.
func (in *Input) Choices() ([]string, int) { return in.choices, in.choice }

// Remember adds the current text to the history.
func (in *Input) Remember() {
	v := in.Value()
	if v == "" || len(in.history) > 0 && in.history[len(in.history)-1] == v {
		return
	}
	in.history = append(in.history, v)
	if len(in.history) > 50 {
		in.history = in.history[1:]
	}
}

// HandleKey edits the line; text is what the key types, "" for other keys.
func (in *Input) HandleKey(key, text string) {
	if key != "tab" && key != "shift+tab" {
		defer in.suggest()
	}
	switch key {
	case "left", "ctrl+b":
		in.at = max(in.at-1, 0)
	case "right", "ctrl+f":
		in.at = min(in.at+1, len(in.text))
	case "home", "ctrl+a":
		in.at = 0
	case "end", "ctrl+e":
		in.at = len(in.text)
	case "backspace", "ctrl+h":
		in.erase(max(in.at-1, 0))
	case "ctrl+w":
		in.erase(in.wordStart())
	case "ctrl+u":
		in.erase(0)
	case "up":
		in.recall(1)
	case "down":
		in.recall(-1)
	case "tab":
		in.complete(1)
	case "shift+tab":
		in.complete(-1)
	default:
		in.insert(text)
	}
}

// insert types text at the cursor, control characters left out.
func (in *Input) insert(text string) {
	for _, r := range text {
		if hidden(r) || len(in.text) >= 512 {
			continue
		}
		in.text = append(in.text[:in.at], append([]rune{r}, in.text[in.at:]...)...)
		in.at++
	}
}

func (in *Input) erase(from int) {
	in.text = append(in.text[:from], in.text[in.at:]...)
	in.at = from
}

func (in *Input) wordStart() int {
	i := in.at
	for i > 0 && in.text[i-1] == ' ' {
		i--
	}
	for i > 0 && in.text[i-1] != ' ' {
		i--
	}
	return i
}

// recall steps through the history.
func (in *Input) recall(step int) {
	in.back = max(min(in.back+step, len(in.history)), 0)
	text := ""
	if in.back > 0 {
		text = in.history[len(in.history)-in.back]
	}
	in.text = []rune(text)
	in.at = len(in.text)
}

// suggest refreshes what completion offers for the text as it is now.
func (in *Input) suggest() {
	in.choices, in.choice = nil, -1
	if in.Complete == nil || in.at != len(in.text) {
		return
	}
	before := in.Value()
	in.stem = before[strings.LastIndexByte(before, ' ')+1:]
	for _, c := range in.Complete(before) {
		if strings.HasPrefix(c, in.stem) {
			in.choices = append(in.choices, c)
		}
	}
	sort.Strings(in.choices)
}

// complete puts the next choice into the line, after first typing what all
// choices have in common.
func (in *Input) complete(step int) {
	if in.choices == nil {
		in.suggest()
	}
	if len(in.choices) == 0 {
		return
	}
	if common := commonPrefix(in.choices); in.choice < 0 && len(common) > len(in.stem) && len(in.choices) > 1 {
		in.replaceWord(common)
		in.stem = common
		return
	}
	in.choice = (in.choice + step + len(in.choices)) % len(in.choices)
	if in.choice < 0 {
		in.choice = 0
	}
	in.replaceWord(in.choices[in.choice])
	if len(in.choices) == 1 { // there is no other: on to the next word
		in.insert(" ")
		in.suggest()
	}
}

func (in *Input) replaceWord(word string) {
	before := string(in.text[:in.at])
	head := before[:strings.LastIndexByte(before, ' ')+1]
	in.text = append([]rune(head+word), in.text[in.at:]...)
	in.at = len([]rune(head + word))
}

func commonPrefix(words []string) string {
	prefix := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}

// Offset is the byte offset of the cursor in the text.
func (in *Input) Offset() int { return len(string(in.text[:in.at])) }
