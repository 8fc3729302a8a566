package imports

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/booking-platform/booking-platform"

// libraries lists what each library may link besides the standard library, directly or
// not: packages of this module with what those may link, and paths of modules. All but
// health may link plumbing. For a new dependency see docs/DECISIONS/0001.
var libraries = map[string][]string{
	"api": {"auth", "booking", "booking/calendar", "locale", "payments", "webhook"},
	"auth": {"github.com/alexedwards/argon2id", "github.com/google/uuid", "golang.org/x/crypto",
		"golang.org/x/sys"},
	"booking":              {"github.com/google/uuid", "github.com/jmoiron/sqlx"},
	"booking/calendar":     {"booking", "github.com/arran4/golang-ical"},
	"booking/resourcefile": {"booking", "go.yaml.in/yaml"},
	"customers":            {"auth", "booking", "notify", "payments", "webhook"},
	"health":               nil,
	"internal/periodic":    nil,
	"internal/pg":          nil,
	"internal/ratelimit":   nil,
	"internal/valid":       nil,
	"locale":               {"booking"},
	"migrations": {"github.com/mfridman/interpolate", "github.com/pressly/goose", "github.com/sethvargo/go-retry",
		"go.uber.org/multierr", "golang.org/x/sync"},
	"notify/bookingmail": {"booking", "booking/calendar", "locale", "notify", "payments", "webhook"},
	"notify/smtp": {"notify", "github.com/wneessen/go-mail", "golang.org/x/crypto", "golang.org/x/net",
		"golang.org/x/text"},
	"notify": nil,
	"pages":  {"auth", "booking", "locale", "payments", "webhook"},
	"payments": {"booking", "webhook", "github.com/google/uuid", "github.com/jmoiron/sqlx",
		"github.com/stripe/stripe-go", "golang.org/x/sync"},
	"payments/stripetest": {"github.com/google/uuid"},
	"webhook":             {"github.com/jmoiron/sqlx", "github.com/stripe/stripe-go"},
}

// plumbing has ratelimit because logins and bookings are limited by one statement on one
// table.
var plumbing = []string{"internal/periodic", "internal/pg", "internal/ratelimit", "internal/valid"}

// programs may link everything, and so may pgtest, which only tests import.
var programs = []string{"cmd", "examples", "internal", "pgtest"}

// Embedders' programs link neither pgtest nor testing, although pgtest and
// payments/stripetest serve their tests.
func TestExamples_LinkNoTestHelpers(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Deps}} {{.}}{{end}}`, "./examples/...",
		"./payments/stripetest")
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go list")
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for _, helper := range []string{"testing", "net/http/httptest", module + "/pgtest"} {
			require.NotContains(t, fields[1:], helper, fields[0])
		}
	}
}

// The image is built from the folders that .dockerignore lists.
func TestDockerignore_HasTheHostsPackages(t *testing.T) {
	t.Parallel()
	ignore, err := os.ReadFile("../../.dockerignore")
	require.NoError(t, err)
	listed := strings.Fields(string(ignore))
	cmd := exec.Command("go", "list", "-deps", "./cmd/host")
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go list")
	for name := range strings.FieldsSeq(string(out)) {
		if below, ok := strings.CutPrefix(name, module+"/"); ok {
			folder, _, _ := strings.Cut(below, "/")
			require.Contains(t, listed, "!"+folder, name)
		}
	}
}

func TestLibraries_LinkOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Deps}} {{.}}{{end}}`, "./...")
			cmd.Dir, cmd.Stderr, cmd.Env = "../..", os.Stderr, append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
			out, err := cmd.Output()
			require.NoError(t, err, "go list")
			found := map[string]bool{}
			for line := range strings.Lines(string(out)) {
				fields := strings.Fields(line)
				library := libraryOf(fields[0])
				found[library] = true
				for _, dep := range excess(library, fields[1:]) {
					t.Errorf("package %s links %s, which is not in its row; go list -deps shows the way", fields[0],
						dep)
				}
				if library == "" && !slices.ContainsFunc(programs, func(folder string) bool {
					return below(fields[0], module+"/"+folder)
				}) {
					t.Errorf("package %s has no row in libraries", fields[0])
				}
			}
			for library := range libraries {
				require.True(t, found[library], "no package for the row %s", library)
			}
		})
	}
}

func excess(library string, linked []string) (list []string) {
	if library == "" {
		return nil
	}
	allowed := map[string]bool{}
	allow(allowed, library)
	for _, pkg := range linked {
		first, _, _ := strings.Cut(pkg, "/")
		if !strings.Contains(first, ".") {
			continue // the standard library, and what it has vendored
		}
		ok := allowed[libraryOf(pkg)]
		for path := range maps.Keys(allowed) {
			ok = ok || !below(pkg, module) && below(pkg, path)
		}
		if !ok {
			list = append(list, pkg)
		}
	}
	return list
}

func allow(allowed map[string]bool, name string) {
	if !allowed[name] {
		allowed[name] = true
		for _, other := range libraries[name] {
			allow(allowed, other)
		}
		for _, other := range plumbing {
			allowed[other] = allowed[other] || name != "health"
		}
	}
}

// libraryOf returns the innermost library, "" for a program.
func libraryOf(pkg string) (library string) {
	for name := range libraries {
		if below(pkg, module+"/"+name) && len(name) > len(library) {
			library = name
		}
	}
	return library
}

func below(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func TestExcess(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"github.com/lib/pq/oid", module + "/payments", module + "/bookingkit"},
		excess("webhook", []string{"fmt", "vendor/golang.org/x/net", "github.com/lib/pq/oid", module + "/internal/pg",
			module + "/payments", module + "/bookingkit", "github.com/jmoiron/sqlx/types"}))
	require.Empty(t, excess("payments", []string{module + "/booking/internal/seating", module + "/internal/periodic"}))
	require.Equal(t, []string{"golang.org/x/sync"}, excess("health", []string{"golang.org/x/sync"}))
	require.Empty(t, excess("", []string{"github.com/lib/pq"}))
	require.Equal(t, "payments/stripetest", libraryOf(module+"/payments/stripetest/page"))
	require.Equal(t, "payments", libraryOf(module+"/payments/steps"))
	require.Empty(t, libraryOf(module+"/bookingkit"))
}

// The examples can be copied out of this repository, tests included; each says how it is
// started, and README.md and the package that it shows name it. The linter does not see
// modules of their own.
func TestExamples_WorkElsewhereAndAreLinked(t *testing.T) {
	t.Parallel()
	files := sources(t, ".go", ".md")
	mains := 0
	for name, text := range files {
		if !strings.HasPrefix(name, "examples/") || path.Ext(name) != ".go" {
			continue
		}
		require.NotContains(t, string(text), `"`+module+"/internal/", "%s imports internal packages", name)
		if path.Base(name) != "main.go" {
			continue
		}
		mains++
		folder := path.Dir(name)
		comment, _, _ := strings.Cut(string(text), "\npackage main")
		require.Regexp(t, `(?m)^//\t.*go run (\./`+regexp.QuoteMeta(folder)+`|\.)$`, comment,
			"%s names no command", name)
		require.Contains(t, files, folder+"/README.md")
		require.Contains(t, files, folder+"/main_test.go")
		require.Contains(t, string(files["README.md"]), "("+folder+")", "README.md has no link to %s", folder)
		linked := false
		for doc, text := range files {
			linked = linked || path.Base(doc) == "doc.go" && strings.Contains(string(text), folder)
		}
		require.True(t, linked, "no package's documentation names %s", folder)
	}
	require.GreaterOrEqual(t, mains, 6)
}
