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

// What the page takes for granted, here: the binary that serves, a psql that needs not be
// installed, and the log as it is at that moment.
const prelude = `
host() { "$HOST_BINARY" "$@"; }
sql() { RUNBOOK_SQL="$1" "$TEST_BINARY"; }
logs() { curl -s "$LOGS"; }
`

// Each block of commands of RUNBOOK.md is run, in the situation that its section is
// about, and prints what the page says.
func TestRunbook(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("curl")
	require.NoError(t, err, "the runbook is run as it is typed, with curl: install it")
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
			n := newNight(t, situations[name])
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

// shell is where the blocks of a section are run: with the environment of the host that
// serves.
func (n *night) shell() runbook.Shell {
	log := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = fmt.Fprintln(w, n.host.logs())
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
