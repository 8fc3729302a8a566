//go:build linux

package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// promises are in the order of SECURITY.md, each with its own users, addresses and
// resources.
var promises = []struct {
	name string
	test func(*testing.T, *cluster)
}{
	{"session cookie is __Host-, Secure, HttpOnly, SameSite", sessionCookie},
	{"new token at login, the old one dead", newTokenAtLogin},
	{"logout ends the session on every replica", logoutEverywhere},
	{"disabling a user ends the sessions on every replica", disableEverywhere},
	{"changing a password ends the sessions on every replica", passwordEverywhere},
	{"idle expiry", idleExpiry},
	{"absolute expiry", absoluteExpiry},
	{"tokens of 128 random bits or more", randomTokens},
	{"tokens stored hashed", hashedTokens},
	{"unknown user and wrong password: same bytes", sameBytes},
	{"login limited per account across replicas, without a stranger locking it", limitedPerAccount},
	{"login limited per address across replicas", limitedPerAddress},
	{"cross-site POST is 403", crossSite},
	{"webhook is exempt from cross-site", webhookExempt},
	{"next stays local", nextStaysLocal},
	{"Host headers never reach a redirect, a link or success_url", hostHeaders},
	{"X-Forwarded-For believed only from trusted proxies", forwardedFor},
	{"client-sent price, status and owner ignored", clientSent},
	{"one customer cannot hold every slot", everySlot},
	{"visiting the success page alone confirms nothing", successPage},
	{"CSP without inline script, HSTS, nosniff, frame-ancestors, no-store", securityHeaders},
	{"metrics and pprof not public", notPublic},
}

// One after the other, after the parallel tests: times are measured without load, and
// logs and answers are complete.
var afterwards = []struct {
	name string
	test func(*testing.T, *cluster)
}{
	{"unknown user and wrong password: same time", sameTime},
	{"CR, LF and ANSI stay on one escaped log line", escapedLines},
	{"no secret in logs", noSecretInLogs},
	{"no secret in URLs", noSecretInURLs},
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	t.Run("promise", func(t *testing.T) {
		for _, p := range promises {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.test(t, c)
			})
		}
	})
	for _, p := range afterwards {
		t.Run(p.name, func(t *testing.T) { p.test(t, c) })
	}
}

// Each parser of untrusted input has a fuzz target, which make fuzz runs.
func TestFuzzTargets(t *testing.T) {
	t.Parallel()
	for what, target := range map[string]struct{ dir, name string }{
		"signature header": {"webhook", "FuzzVerifyHeader"}, "event body": {"webhook", "FuzzEvent"},
		"next":            {"auth", "FuzzSafeNext"},
		"X-Forwarded-For": {"cmd/host/internal/middleware", "FuzzClientIP"}, "delivery": {"webhook", "FuzzDelivery"},
		"events of payments": {"payments", "FuzzEvents"},
	} {
		files, err := filepath.Glob("../../" + target.dir + "/*_test.go")
		require.NoError(t, err)
		found := false
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			found = found || strings.Contains(string(source), "func "+target.name+"(f *testing.F)")
		}
		require.True(t, found, "%s has no fuzz target", what)
	}
}
