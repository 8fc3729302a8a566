package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/runbook"
)

// prelude defines what the page uses: the binary, a psql that need not be installed, and
// the current log.
const prelude = `
host() { "$HOST_BINARY" "$@"; }
sql() { RUNBOOK_SQL="$1" "$TEST_BINARY"; }
logs() { curl -s "$LOGS"; }
`

// Each block of RUNBOOK.md runs in the situation of its section, and its output is
// compared with the page.
func TestRunbook_EverySection(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("curl")
	require.NoError(t, err, "the runbook needs curl: install it")
	page, err := os.ReadFile("../../RUNBOOK.md")
	require.NoError(t, err)
	blocks, err := runbook.Parse(string(page))
	require.NoError(t, err)
	sections := map[string][]runbook.Block{}
	for _, b := range blocks {
		if b.Host {
			sections[b.Section] = append(sections[b.Section], b)
		}
	}
	require.NotEmpty(t, sections)
	for name := range situations {
		require.Contains(t, sections, name, "a situation without commands")
	}
	for name, blocks := range sections {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newIncident(t, situations[name])
			for i, b := range blocks {
				if before := situations[name].before[i]; before != nil {
					before(n)
				}
				require.NoError(t, n.shell().Run(t.Context(), b), b.Commands)
			}
			if after := situations[name].after; after != nil {
				after(n)
			}
		})
	}
}

// shell runs blocks with the environment of the running host.
func (n *incident) shell() runbook.Shell {
	log := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, n.host.logs())
	}))
	n.t.Cleanup(log.Close)
	self, err := os.Executable()
	require.NoError(n.t, err)
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.t.TempDir(), "TMPDIR=" + os.TempDir(), "HOST_BINARY=" + binary.path,
		"TEST_BINARY=" + self,
		"LOGS=" + log.URL, "BASE=" + n.host.base, "RUNBOOK_DATABASE=" + n.url,
	}
	for name, value := range n.env {
		env = append(env, name+"="+value)
	}
	for name, value := range n.names {
		env = append(env, name+"="+value)
	}
	return runbook.Shell{Prelude: prelude, Dir: n.t.TempDir(), Env: env}
}
