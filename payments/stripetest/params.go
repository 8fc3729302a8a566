package stripetest

import (
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// form holds parameters by flat names, such as line_items[0][price_data][currency].
type form url.Values

type set map[string]bool

func setOf(names ...string) set {
	s := set{}
	for _, name := range names {
		s[name] = true
	}
	return s
}

var (
	indices      = regexp.MustCompile(`\[\d*\]`)
	metadataKeys = regexp.MustCompile(`(\bmetadata\]?)\[.*\]$`)
)

// refuseUnknown returns an error for the first parameter, by name, that is not in known,
// where [] stands for any index and metadata key.
func (f form) refuseUnknown(known set) error {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		pattern := metadataKeys.ReplaceAllString(name, "$1[]")
		if !known[indices.ReplaceAllString(pattern, "[]")] {
			return unknown(name)
		}
	}
	return nil
}

func (f form) get(name string) string { return url.Values(f).Get(name) }

func (f form) has(name string) bool { return url.Values(f).Has(name) }

func (f form) required(name string) (string, error) {
	switch {
	case !f.has(name):
		return "", missing(name)
	case f.get(name) == "":
		return "", invalid(name, "parameter_invalid_empty", "You passed an empty string for '%s'. "+
			"We assume empty values are an attempt to unset a parameter; however '%s' cannot be unset.", name, name)
	}
	return f.get(name), nil
}

// integer returns a required integer within [least, most].
func (f form) integer(name string, least, most int64) (int64, error) {
	text, err := f.required(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return 0, invalid(name, "parameter_invalid_integer", "Invalid integer: %s", text)
	case n < least:
		return 0, invalid(name, "parameter_invalid_integer", "This value must be greater than or equal to %d.", least)
	case n > most:
		return 0, invalid(name, "parameter_invalid_integer", "This value must be less than or equal to %d.", most)
	}
	return n, nil
}

func (f form) boolean(name string) (bool, error) {
	switch text := f.get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, invalid(name, "parameter_invalid_boolean", "Invalid boolean: %s", text)
	}
}

func (f form) address(name string) (string, error) {
	if f.has(name) && !absoluteURL(f.get(name)) {
		return "", invalid(name, "url_invalid", "Not a valid URL")
	}
	return f.get(name), nil
}

func (f form) text(name string, most int) (string, error) {
	if n := utf8.RuneCountInString(f.get(name)); n > most {
		return "", invalid(name, "", "Invalid string: must be at most %d characters", most)
	}
	return f.get(name), nil
}

func (f form) list(name string) []string {
	var values []string
	for _, index := range f.indices(name) {
		values = append(values, f[name+"["+index+"]"]...)
	}
	return values
}

func (f form) indices(name string) []string {
	seen := map[string]bool{}
	var found []string
	for full := range f {
		rest, ok := strings.CutPrefix(full, name+"[")
		index, _, closed := strings.Cut(rest, "]")
		if ok && closed && !seen[index] {
			seen[index] = true
			found = append(found, index)
		}
	}
	sort.Slice(found, func(i, j int) bool {
		a, _ := strconv.Atoi(found[i])
		b, _ := strconv.Atoi(found[j])
		return a < b
	})
	return found
}

// metadata returns the pairs below name, within Stripe's limits, without empty values.
func (f form) metadata(name string) (map[string]string, error) {
	pairs := map[string]string{}
	for _, key := range f.indices(name) {
		param := name + "[" + key + "]"
		value := f.get(param)
		switch {
		case utf8.RuneCountInString(key) > 40:
			return nil, invalid(name, "", "Metadata keys can have up to 40 characters. Your key has %d.",
				utf8.RuneCountInString(key))
		case utf8.RuneCountInString(value) > 500:
			return nil, invalid(param, "", "Metadata values can have up to 500 characters, but you passed in a value "+
				"that is %d characters. Invalid value: %s", utf8.RuneCountInString(value), value)
		case value != "":
			pairs[key] = value
		}
	}
	if len(pairs) > 50 {
		return nil, invalid(name, "", "Metadata can have up to 50 keys. You passed %d.", len(pairs))
	}
	return pairs, nil
}
