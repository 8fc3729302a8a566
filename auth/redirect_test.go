package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
)

func TestSafeNext_Paths(t *testing.T) {
	t.Parallel()
	for _, local := range []string{
		"/", "/dashboard", "/dashboard?day=2026-12-01&q=a%20b#top", "/a/b/", "/a//b", "/a%2Fb", "/caf%C3%A9", "/@user",
		"/a:b", "/?u=https://x.example//y", "/...",
	} {
		require.Equal(t, local, auth.SafeNext(local))
	}
	for _, away := range []string{
		"", "dashboard", "?x", "#x", "//", "//?x", "//#x", "//x", "///x", "/\\x", "\\/x", "\\\\x", "/\\/x", "%2f%2fx",
		"/%2fx", "/%2F%2Fx", "/%5cx", "/%5C%5Cx", "/a\\b", "/a%5cb",
		"/\tx", "/\t/x", "/\n/x", "/\r\n/x", "\t//x", " //x", "/ /x", "/x\x00", "/%0d%0aSet-Cookie:x", "/%00", "/x\x7f",
		"/\u00a0/x", "/\uff0f/x",
		"javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "https://x.example", "http:x.example",
		"https:/x.example", "//x.example@y", "mailto:x@y.example",
		"/.//x", "/..//x", "/a/../..//x", "/%2e%2e//x", "/./x", "/%zz", "/" + strings.Repeat("a", 2048),
	} {
		require.Equal(t, "/", auth.SafeNext(away), "%q", away)
	}
}

// A browser, which is more lenient than any parser, follows the result: it must stay on
// this host.
func FuzzSafeNext(f *testing.F) {
	for _, seed := range []string{"/dashboard?x=1", "//x", "/\\x", "%2f%2fx", "/%2f/x", "/\t/x", "javascript:alert(1)",
		"https://x.example/", "/.//x", "/%5c/x", "/a/..//x", "//"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://host.example/login")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, next string) {
		got := auth.SafeNext(next)
		require.True(t, got == next || got == "/")
		decoded, err := url.PathUnescape(got)
		for _, form := range []string{got, decoded} {
			if err != nil && form == decoded {
				continue // The query may hold a lone percent sign.
			}
			path, _, _ := strings.Cut(form, "?")
			path = strings.ReplaceAll(path, "\\", "/")
			require.True(t, strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//"), "%q", form)
		}
		require.False(t, strings.ContainsFunc(got, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' }),
			"%q", got)
		target, err := base.Parse(got)
		require.NoError(t, err)
		require.Equal(t, "https", target.Scheme)
		require.Equal(t, "host.example", target.Host)
		require.False(t, strings.HasPrefix(target.Path, "//"), "%q", got)

		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest(http.MethodGet, "/login", nil), got, http.StatusSeeOther)
		require.False(t, strings.HasPrefix(w.Header().Get("Location"), "//"), "%q", w.Header().Get("Location"))
	})
}
