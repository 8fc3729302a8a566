// Package embedding measures what importing one package costs: the size of the binary and
// the modules in it. docs/EMBEDDING.md has the figures.
package embedding

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/booking-platform/booking-platform"

// programs are empty servers that use packages: their imports beside net/http and, except
// for the first two, lib/pq; how many modules may be linked besides this one; and a
// generous bound, in MB, for how much larger the binary is than the first one.
var programs = []struct {
	name    string
	imports []string
	use     string
	modules int
	larger  float64
}{
	{"empty server", nil, "", 0, 0},
	{"health", []string{"health"}, `http.Handle("/health", health.Live())`, 0, 0.5},
	{"lib/pq", []string{pq}, "", 1, 1.5},
	{"auth", []string{"auth", pq}, `
		a, _ := auth.New(db, nil, auth.Options{})
		http.Handle("/login", a.LoginHandler())
		http.Handle("/", a.RequirePage(http.NotFoundHandler()))
		_ = a.Run(ctx)`, 5, 2.5},
	{"booking", []string{"booking", pq}, `
		s, _ := booking.New(db, booking.Options{})
		_, _ = s.Hold(ctx, booking.HoldRequest{})
		_, _ = s.Reschedule(ctx, booking.RescheduleRequest{})
		_, _ = s.Availability(ctx, booking.AvailabilityRequest{})
		_ = s.Run(ctx)`, 3, 4},
	{"webhook", []string{"webhook", pq}, webhookUse, 3, 3},
	{"notify", []string{"notify", pq}, `
		o, _ := notify.New(db, notify.Options{})
		_ = o.Run(ctx)`, 1, 2},
	{"notify and smtp", []string{"notify", "notify/smtp", pq}, `
		out, _ := smtp.New(smtp.Options{})
		o, _ := notify.New(db, notify.Options{Sender: out})
		_ = o.Run(ctx)`, 6, 6},
	{"webhook and migrations", []string{"webhook", "migrations", pq},
		webhookUse + "\n_, _ = migrations.Up(ctx, db, migrations.Webhook)", 8, 4.5},
	{"payments", []string{"booking", "payments", "webhook", pq}, `
		s, _ := booking.New(db, booking.Options{})
		p, _ := payments.New(db, s, "", "", payments.Options{})
		_, _ = p.Book(ctx, booking.HoldRequest{})` + webhookUse + `
		p.Register(r)
		_ = p.Run(ctx, r)`, 5, 7.5},
	{"api", []string{"api", pq}, `
		a, _ := api.New(api.Deps{}, api.Options{})
		http.Handle("/", a)`, 9, 7.5},
	{"pages", []string{"pages", pq}, `
		p, _ := pages.New(pages.Deps{}, pages.Options{})
		http.Handle("/", p)`, 8, 13},
}

const webhookUse = `
		r, _ := webhook.New(db, nil, webhook.Options{})
		http.Handle("/webhook", r)
		_ = r.Run(ctx)`

const pq = "github.com/lib/pq"

func TestEmbedding_SizesAndModules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	prepare(t, dir)
	// One call compiles what they share once.
	run(t, dir, "go", "build", "-mod=mod", "-trimpath", "-ldflags=-w", "-o",
		filepath.Join(dir, "bin")+string(filepath.Separator), "./...")
	page, err := os.ReadFile("../../docs/EMBEDDING.md")
	require.NoError(t, err)
	empty := 0.0
	var rows []string
	for n, p := range programs {
		binary := filepath.Join(dir, "bin", fmt.Sprintf("p%d", n))
		if _, err := os.Stat(binary); err != nil {
			binary += ".exe"
		}
		info, err := os.Stat(binary)
		require.NoError(t, err)
		size := float64(info.Size()) / 1e6
		if n == 0 {
			empty = size
		}
		modules := linked(t, dir, binary)
		t.Logf("%-24s %+5.1f MB, %d modules: %s", p.name, size-empty, len(modules), strings.Join(modules, " "))
		require.LessOrEqual(t, size-empty, p.larger, "%s: MB over an empty server", p.name)
		require.LessOrEqual(t, len(modules), p.modules, "%s links %v", p.name, modules)
		rows = append(rows, fmt.Sprintf("| %s | %+.1f MB | %d |", p.name, size-empty, len(modules)))
	}
	t.Log("\n" + strings.Join(rows, "\n"))
	// The page has the number of modules; sizes differ between machines.
	for n, row := range rows {
		parts := strings.Split(row, "|")
		require.Regexp(t, `(?m)^\|`+regexp.QuoteMeta(parts[1])+`\|[^|]*\|`+parts[3]+`\|`, string(page),
			programs[n].name)
	}
}

// prepare writes a module with this module's requirements.
func prepare(t *testing.T, dir string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	own := strings.Replace(string(mod), "module "+module, "module embedding", 1) +
		fmt.Sprintf("\nrequire %s v0.0.0\nreplace %s => %s\n", module, module, filepath.ToSlash(root))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(own), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600))
	for n, p := range programs {
		var text bytes.Buffer
		fmt.Fprintln(&text, "package main\n\nimport (\n\"context\"\n\"database/sql\"\n\"net/http\"")
		for _, path := range p.imports {
			if path == pq {
				fmt.Fprintf(&text, "_ %q\n", pq)
				continue
			}
			fmt.Fprintf(&text, "%q\n", module+"/"+path)
		}
		fmt.Fprintln(&text, ")\n\nfunc main() {\nctx := context.Background()\ndb, _ := sql.Open(\"postgres\", \"\")")
		fmt.Fprintln(&text, "_ = db.PingContext(ctx)\n"+p.use+"\n_ = http.ListenAndServe(\":0\", nil)\n}")
		folder := filepath.Join(dir, fmt.Sprintf("p%d", n))
		require.NoError(t, os.Mkdir(folder, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "main.go"), text.Bytes(), 0o600))
	}
}

func linked(t *testing.T, dir, binary string) (modules []string) {
	t.Helper()
	for line := range strings.Lines(run(t, dir, "go", "version", "-m", binary)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "dep" && fields[1] != module {
			modules = append(modules, fields[1])
		}
	}
	slices.Sort(modules)
	return modules
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}
