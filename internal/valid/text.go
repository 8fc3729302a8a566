// Package valid checks and formats currencies, amounts, and text that can be stored and
// shown. It uses the standard library alone.
package valid

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Storable returns why a text cannot be stored and logged, or "": it must be UTF-8
// without control characters, except allowed. See [Text].
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

// Text is [Storable] for text that is shown: it must not hide or reorder the text beside
// it, as bidirectional overrides and zero-width characters do. Combining marks, variation
// selectors and the joiners of letters and emoji are allowed.
func Text(s string, maxRunes int, allowed string) string {
	if problem := Storable(s, maxRunes, allowed); problem != "" {
		return problem
	}
	if WithoutHidden(s) != s {
		return "contains characters that hide or reorder text"
	}
	return ""
}

// Required is [Text] for a line with a visible character.
func Required(s string, maxRunes int) string {
	if utf8.ValidString(s) && !visible(s) {
		return "is required"
	}
	return Text(s, maxRunes, "")
}

// Optional is [Required], or empty.
func Optional(s string, maxRunes int) string {
	if s == "" {
		return ""
	}
	if utf8.ValidString(s) && !visible(s) {
		return "has no visible character"
	}
	return Text(s, maxRunes, "")
}

// E.164 allows 15 digits, and an extension may follow.
const (
	maxPhone       = 40
	minPhoneDigits = 3
	maxPhoneDigits = 20
)

// Phone returns why a text is no phone number as people write them, or "": it is empty,
// or has 3 to 20 digits, with spaces and + - ( ) . between them.
func Phone(s string) string {
	digits := 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case !strings.ContainsRune(" +-().", r):
			return "must be digits, spaces and + - ( ) . only, such as +33 1 23 45 67 89"
		}
	}
	switch {
	case s == "":
		return ""
	case digits < minPhoneDigits || digits > maxPhoneDigits:
		return fmt.Sprintf("must have %d to %d digits", minPhoneDigits, maxPhoneDigits)
	case len(s) > maxPhone:
		return fmt.Sprintf("is longer than %d characters", maxPhone)
	}
	return ""
}

// ErasedActor turns "user:ada@example.com", see booking.WithActor, into "user:erased".
func ErasedActor(actor string) string {
	kind, _, named := strings.Cut(actor, ":")
	if !named {
		return "erased"
	}
	return kind + ":erased"
}

// WithoutHidden removes the characters that hide or reorder text.
func WithoutHidden(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return s
	}
	var out strings.Builder
	before, flag := rune(-1), false
	for rest := s; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		// A region's flag is a black flag, tags, and an end tag.
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

// hides reports whether r, after before, hides or reorders text. A flag's tags do not.
func hides(r, before rune, flag bool) bool {
	switch {
	case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
		// Joiners shape letters of some scripts and combine emoji; elsewhere they only
		// make equal-looking texts differ.
		return before < utf8.RuneSelf || before == zeroWidthJoiner || before == zeroWidthNonJoiner ||
			unicode.IsSpace(before) || unicode.In(before, unicode.Latin, unicode.Greek, unicode.Cyrillic)
	case isTag(r):
		return !flag
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		// Visible signs of Arabic and Syriac.
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

// closedTags: s begins with one to seven tags and an end tag.
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

// Marks, selectors, joiners, fillers and spaces are not visible.
func visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.Is(unicode.Prepended_Concatenation_Mark, r) ||
			!unicode.IsSpace(r) && !unicode.In(r, unicode.C, unicode.Z, unicode.M) && !blank[r]
	})
}

var blank = map[rune]bool{'\u115f': true, '\u1160': true, '\u3164': true, '\uffa0': true, '\u2800': true}
