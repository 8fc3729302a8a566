package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// planted are the secrets of a test by description: planted by it, or met in responses.
type planted struct {
	mu     sync.Mutex
	values map[string]string
}

// plant makes a unique secret with a prefix.
func (p *planted) plant(what, before string) string {
	value := before + rand.Text()
	p.keep(what, value)
	return value
}

// password makes a secret with characters that have to be escaped in every format.
func (p *planted) password(what string) string {
	value := rand.Text() + `"<&>\/+% é` + rand.Text()
	p.keep(what, value)
	return value
}

// keep remembers a secret. A short one would be found by chance.
func (p *planted) keep(what, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(value) < 16 {
		panic("too short to be looked for: " + what)
	}
	for n := 1; p.values[what] != ""; n++ {
		what = fmt.Sprintf("%s (%d)", strings.TrimRight(what, " ()0123456789"), n+1)
	}
	p.values[what] = value
}

// in returns the secrets that are in a text, in any spelling and case: an e-mail address
// may be normalised.
func (p *planted) in(text string) (found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text = strings.ToLower(text)
	for what, value := range p.values {
		for spelling, written := range spellings(value) {
			if strings.Contains(text, strings.ToLower(written)) {
				found = append(found, what+", "+spelling)
			}
		}
	}
	slices.Sort(found)
	return found
}

// spellings are the forms in which a value could be written.
func spellings(value string) map[string]string {
	quoted := func(s string) string {
		text, _ := json.Marshal(s)
		return string(text[1 : len(text)-1])
	}
	plainly := func(s string) string {
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(s)
		return strings.TrimSpace(text.String())[1 : text.Len()-2]
	}
	all := map[string]string{
		"as it is": value, "in a query": url.QueryEscape(value), "in a path": url.PathEscape(value),
		"hexadecimal": hex.EncodeToString([]byte(value)),
		"JSON":        quoted(value), "JSON without HTML": plainly(value), "JSON in JSON": quoted(quoted(value)),
		"JSON without HTML, twice": plainly(plainly(value)),
		"quoted by Go":             strings.Trim(fmt.Sprintf("%q", value), `"`),
		"quoted by Go, in JSON":    plainly(strings.Trim(fmt.Sprintf("%q", value), `"`)),
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding,
		"base64 for URLs": base64.RawURLEncoding} {
		// What is around the value decides where in three bytes it begins, and its first
		// and last characters.
		for before := range 3 {
			text := encoding.EncodeToString(append(make([]byte, before), value...))
			if (before+len(value))%3 != 0 {
				text = text[:len(text)-1]
			}
			all[fmt.Sprintf("%s, %d bytes on", name, before)] = text[[]int{0, 2, 3}[before]:]
		}
	}
	return all
}

func TestPlanted_Spellings(t *testing.T) {
	t.Parallel()
	p := &planted{values: map[string]string{}}
	secret := p.password("password")
	line, err := json.Marshal(map[string]string{"error": `body: {"password":"` + secret + `"}`})
	require.NoError(t, err)
	twice, err := json.Marshal(map[string]string{"error": string(line)})
	require.NoError(t, err)
	for _, text := range []string{
		"x" + secret + "x", strings.ToLower(secret), string(line), string(twice), "?token=" + url.QueryEscape(secret),
		"/" + url.PathEscape(secret), fmt.Sprintf("%q", secret),
		base64.StdEncoding.EncodeToString([]byte("ada:" + secret)),
		base64.URLEncoding.EncodeToString([]byte("ad:" + secret + "\n")),
		base64.StdEncoding.EncodeToString([]byte("adam:" + secret)), fmt.Sprintf("%x", "x"+secret),
	} {
		require.NotEmpty(t, p.in(text), text)
	}
	require.Empty(t, p.in("nothing"))
}
