package locale

import (
	"fmt"
	"strconv"
	"strings"
)

// Locale formats texts, times and money for one language. The zero value is English. It
// is safe for concurrent use.
type Locale struct {
	language *language // nil is English.
}

// language is what a language other than English needs.
type language struct {
	tag   string
	texts map[string]string
	// problems translates the problems of fields that other packages name.
	problems map[string]string
	one      func(n int) bool
}

var french = &language{tag: "fr", texts: frenchTexts, problems: frenchProblems,
	one: func(n int) bool { return n < 2 }}

// Of returns the locale of a BCP 47 tag such as "fr" or "fr-CA": English for "", and for
// a language that is not in the catalogue.
func Of(tag string) Locale {
	primary, _, _ := strings.Cut(tag, "-")
	if strings.EqualFold(primary, french.tag) {
		return Locale{french}
	}
	return Locale{}
}

// Tag returns "en" or "fr".
func (l Locale) Tag() string {
	if l.language == nil {
		return "en"
	}
	return l.language.tag
}

// maxRanges bounds how much of an Accept-Language is read.
const maxRanges = 20

// Match returns the tag of the language that an Accept-Language header prefers, "en" or
// "fr", or "" if it names neither. A range with quality 0 or with a malformed quality is
// left out, and of equal qualities the first counts. "*" is English.
func Match(acceptLanguage string) string {
	best, quality := "", 0.0
	for n, part := range strings.SplitN(acceptLanguage, ",", maxRanges+1) {
		if n == maxRanges {
			break
		}
		name, parameter, weighted := strings.Cut(part, ";")
		q := 1.0
		if weighted {
			value, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
			parsed, err := strconv.ParseFloat(value, 64)
			if !ok || err != nil || !(parsed >= 0 && parsed <= 1) {
				continue
			}
			q = parsed
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(name)), "-")
		if primary == "*" {
			primary = "en"
		}
		if (primary == "en" || primary == french.tag) && q > quality {
			best, quality = primary, q
		}
	}
	return best
}

// T translates text, which is English, and formats it as fmt.Sprintf does if there are
// args. A translation may use them in another order.
func (l Locale) T(text string, args ...any) string {
	if l.language != nil {
		if translated, ok := l.language.texts[text]; ok {
			text = translated
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// N is T of one or of many, whichever the language uses for n. Both are formatted with n.
func (l Locale) N(n int, one, many string) string {
	single := n == 1
	if l.language != nil {
		single = l.language.one(n)
	}
	if single {
		return l.T(one, n)
	}
	return l.T(many, n)
}

// Problem translates the problem of a field as a ValidationError of package booking names
// it, such as "is required".
func (l Locale) Problem(problem string) string {
	if l.language != nil {
		if translated, ok := l.language.problems[problem]; ok {
			return translated
		}
	}
	return problem
}
