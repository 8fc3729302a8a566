package arrows_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/booking-platform/booking-platform"

// A rule forbids a package and everything below it, and says why.
type rule struct{ path, why string }

// What no embedder may be made to link, whichever room it imports.
var foreign = []rule{
	{"github.com/lib/pq", "the embedder chooses its driver"},
	{"github.com/jackc/pgx", "the embedder chooses its driver"},
	{"github.com/stretchr/testify", "test helpers are for tests"},
	{"github.com/testcontainers/testcontainers-go", "test helpers are for tests"},
	{"github.com/emersion/go-ical", "the second parser of calendar files is for tests"},
	{"github.com/gorilla/mux", "the embedder chooses its router"},
	{"github.com/stripe/stripe-go/v76/client", "it links 134 packages, the narrow imports 6"},
	{"go.yaml.in/yaml", "only booking/resourcefile reads YAML"},
	{"github.com/prometheus/client_golang", "metrics are a hook, the adapter is the host's"},
	{module + "/internal", "of internal, library packages import pg, valid, periodic and ratelimit alone"},
	{module + "/cmd", "the host stands on the rooms, not under them"},
	{module + "/examples", "examples stand on the rooms, not under them"},
}

// rooms maps each library room to those of the module it may import, with its packages
// below.
var rooms = map[string][]string{
	"booking":              nil,
	"booking/calendar":     {"booking"},
	"booking/resourcefile": {"booking"},
	"webhook":              nil,
	"auth":                 nil,
	"health":               nil,
	"migrations":           nil,
	"payments":             {"booking", "webhook"},
	"payments/stripetest":  nil,
	"api":                  {"auth", "booking", "booking/calendar", "payments", "webhook"},
	"pages":                {"auth", "booking", "payments", "webhook"},
}

// plumbing are the packages of internal that library packages may import. ratelimit is
// there because the logins of package auth and the bookings of the host are limited by
// the same statement on the same table.
var plumbing = []string{"internal/pg", "internal/valid", "internal/periodic", "internal/ratelimit"}

func init() {
	for name, allowed := range rooms {
		if name != "health" {
			rooms[name] = append(slices.Clone(allowed), plumbing...)
		}
	}
	for _, name := range plumbing {
		rooms[name] = plumbing
	}
}

// above are the folders that see everything. Whatever else appears in the module needs a
// row in rooms.
var above = []string{"cmd/host", "examples", "internal"}

func TestArrowsPointDown(t *testing.T) {
	t.Parallel()
	graph := list(t)
	for room, allowed := range rooms {
		found := false
		for pkg := range graph {
			if roomOf(pkg) != room {
				continue
			}
			found = true
			for _, r := range rules(room, allowed) {
				if chain := graph.chain(pkg, r.path); chain != nil {
					t.Errorf("package %s\n\tmust not import %s\n\twhy: %s\n\tchain: %s", pkg, r.path, r.why,
						strings.Join(chain, " -> "))
				}
			}
		}
		require.True(t, found || contains(plumbing, room), "the room %s has no package", room)
	}
}

// rules are the foreign ones and every room that is not allowed.
func rules(room string, allowed []string) []rule {
	forbidden := append([]rule(nil), foreign...)
	if room == "booking/resourcefile" {
		forbidden = slices.DeleteFunc(forbidden, func(r rule) bool { return r.path == "go.yaml.in/yaml" })
	}
	for other := range rooms {
		if other == room || contains(allowed, other) {
			continue
		}
		forbidden = append(forbidden, rule{module + "/" + other,
			"rooms are imported one at a time; " + room + " may know " + orNone(allowed)})
	}
	return forbidden
}

func TestHealthIsStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	graph := list(t)
	const health = module + "/health"
	for pkg := range graph {
		if pkg == health || graph[pkg].Standard {
			continue
		}
		if chain := graph.chain(health, pkg); chain != nil {
			t.Errorf("package health\n\tmust not import %s\n\twhy: it needs the standard library only\n\tchain: %s",
				pkg, strings.Join(chain, " -> "))
		}
	}
}

func TestOnlyTheHostAndExamplesKnowTheRouter(t *testing.T) {
	t.Parallel()
	for pkg, p := range list(t) {
		if !inModule(pkg) || below(pkg, module+"/cmd/host") || below(pkg, module+"/examples") {
			continue
		}
		for _, imports := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
			if contains(imports, "github.com/gorilla/mux") {
				t.Errorf("package %s\n\tmust not import github.com/gorilla/mux\n\twhy: handlers are plain net/http; only cmd/host and examples choose a router", pkg)
			}
		}
	}
}

func TestEveryPackageHasItsPlace(t *testing.T) {
	t.Parallel()
next:
	for pkg := range list(t) {
		if !inModule(pkg) || roomOf(pkg) != "" {
			continue
		}
		for _, folder := range above {
			if below(pkg, module+"/"+folder) {
				continue next
			}
		}
		t.Errorf("package %s\n\tis in no room: give it a row in the table of this test", pkg)
	}
}

// The rules themselves must be able to fail: on a made-up graph each kind of short cut is
// found.
func TestShortCutsAreSeen(t *testing.T) {
	t.Parallel()
	g := graph{
		module + "/webhook":     {Imports: []string{"example.com/between"}},
		"example.com/between":   {Imports: []string{"github.com/lib/pq/oid", module + "/bookingkit"}},
		"github.com/lib/pq/oid": {},
		module + "/bookingkit":  {},
	}
	require.Equal(t, []string{module + "/webhook", "example.com/between", "github.com/lib/pq/oid"},
		g.chain(module+"/webhook", "github.com/lib/pq"))
	require.Nil(t, g.chain(module+"/webhook", module+"/booking"), "a name that merely begins alike is another package")
	require.Nil(t, g.chain(module+"/bookingkit", "github.com/lib/pq"))
	require.Equal(t, "payments/stripetest", roomOf(module+"/payments/stripetest/page"))
	require.Equal(t, "payments", roomOf(module+"/payments/steps"))
	require.Empty(t, roomOf(module+"/bookingkit"))
	for _, r := range rules("payments", rooms["payments"]) {
		require.NotContains(t, []string{module + "/payments", module + "/booking", module + "/webhook"}, r.path)
	}
}
