package valid

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Storable tells what keeps a text from being stored and logged, or "": Postgres stores
// neither NUL nor invalid UTF-8, and other control characters have no place in logs,
// mails and pages. Those in allowed pass. It is for what is compared and not shown; see
// [Text].
func Storable(s string, maxRunes int, allowed string) string {
	switch {
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) &&
			!strings.ContainsRune(allowed, r)
	}):
		return "contains control characters"
	case utf8.RuneCountInString(s) > maxRunes:
		return fmt.Sprintf("is longer than %d characters", maxRunes)
	}
	return ""
}

// Text is [Storable] for a text that is shown: it contains nothing that hides or reorders
// what stands beside it, such as bidirectional overrides, line separators and zero-width
// characters. Text of any script passes, with what it needs: combining marks, variation
// selectors, joiners between letters and in emoji.
func Text(s string, maxRunes int, allowed string) string {
	if problem := Storable(s, maxRunes, allowed); problem != "" {
		return problem
	}
	if WithoutHidden(s) != s {
		return "contains characters that hide or reorder text"
	}
	return ""
}

// Required is [Text] on one line for a text that must show something.
func Required(s string, maxRunes int) string {
	if utf8.ValidString(s) && !visible(s) {
		return "is required"
	}
	return Text(s, maxRunes, "")
}

// WithoutHidden leaves out the characters that hide or reorder text, for a text that is
// kept whatever it contains.
func WithoutHidden(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return s
	}
	var out strings.Builder
	before, flag := rune(-1), false
	for rest := s; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		// A flag of a region is a black flag, its letters as tags, and the tag that ends
		// it.
		flag = r == blackFlag && closedTags(rest[size:]) || flag && isTag(r)
		if !hides(r, before, flag) {
			out.WriteString(rest[:size])
			before = r
		}
		rest = rest[size:]
	}
	return out.String()
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
	blackFlag          = '\U0001f3f4'
	lastTag            = '\U000e007f'
)

// hides tells whether r, after before, hides or reorders text. In a flag, tags do not.
func hides(r, before rune, flag bool) bool {
	switch {
	case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
		// They shape letters of scripts that need it, and join emoji. Beside Latin
		// letters, digits and spaces they do nothing but make two texts differ that look
		// the same.
		return before < utf8.RuneSelf || before == zeroWidthJoiner || before == zeroWidthNonJoiner ||
			unicode.IsSpace(before) || unicode.In(before, unicode.Latin, unicode.Greek, unicode.Cyrillic)
	case isTag(r):
		return !flag
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		// Signs of Arabic and Syriac that are seen, though their category is format.
		return false
	}
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == combiningGraphemeJoiner || r == invisibleKhmer ||
		r == invisibleKhmer+1
}

const (
	combiningGraphemeJoiner = '\u034f'
	invisibleKhmer          = '\u17b4'
)

func isTag(r rune) bool { return r >= '\U000e0020' && r <= lastTag }

// closedTags tells whether s begins with one to seven tags, the last of which ends them.
func closedTags(s string) bool {
	n := 0
	for _, r := range s {
		switch {
		case r == lastTag:
			return n > 0
		case !isTag(r) || n == 7:
			return false
		}
		n++
	}
	return false
}

// visible tells whether a text shows anything: marks alone, selectors, joiners, fillers
// and spaces of any width do not.
func visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.Is(unicode.Prepended_Concatenation_Mark, r) ||
			!unicode.IsSpace(r) && !unicode.In(r, unicode.C, unicode.Z, unicode.M) && !blank[r]
	})
}

// blank are characters that are letters and symbols by their category, and empty to the
// eye.
var blank = map[rune]bool{'\u115f': true, '\u1160': true, '\u3164': true, '\uffa0': true, '\u2800': true}
