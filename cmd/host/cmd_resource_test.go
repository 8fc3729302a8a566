package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func applyText(t *testing.T, environ map[string]string, text string,
	args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return run(t, environ, text, append([]string{"resource", "apply", "-f", "-"}, args...)...)
}

// The error of a database without the schema names the remedy.
func TestResource_SchemaMissing(t *testing.T) {
	t.Parallel()
	status, _, stderr := command(t, map[string]string{"DATABASE_URL": testdb.EmptyURL(t)}, "resource", "list")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "host migrate up")
}

// The example of docs/resources.md is applied, shown, and applied again without a change.
func TestResourceApply_DocumentedExample(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/resources.md")
	require.NoError(t, err)
	_, example, found := strings.Cut(string(docs), "```yaml\n")
	require.True(t, found)
	example, _, found = strings.Cut(example, "```")
	require.True(t, found)
	// Only the database is configured.
	env := map[string]string{"APP_ENV": "production", "DATABASE_URL": testdb.URL(t)}

	status, stdout, stderr := applyText(t, env, example, "--dry-run")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "studio: created\ndry run: nothing was written\n", stdout)
	status, _, stderr = command(t, env, "resource", "show", "studio")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, `there is no resource "studio"`)

	status, stdout, stderr = applyText(t, env, example)
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "studio: created\n", stdout)
	status, stdout, _ = applyText(t, env, example)
	require.Equal(t, 0, status)
	require.Equal(t, "studio: unchanged\n", stdout)
	status, shown, _ := command(t, env, "resource", "show", "studio")
	require.Equal(t, 0, status)
	file := filepath.Join(t.TempDir(), "studio.yaml")
	require.NoError(t, os.WriteFile(file, []byte(shown), 0o600))
	status, stdout, stderr = command(t, env, "resource", "apply", "-f", file)
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "studio: unchanged\n", stdout, "what is shown changes nothing")

	changed := strings.NewReplacer(`price: "25.00"`, `price: "30.00"`, `description: A bright studio with a piano.`, "",
		`"2026-12-25": closed`, `"2026-12-26": closed`).Replace(example)
	want := "studio: changed\n  - description: A bright studio with a piano.\n  ~ price: 25.00 EUR -> 30.00 EUR\n" +
		"  + exceptions.2026-12-26: closed\n  - exceptions.2026-12-25: closed\n"
	status, stdout, _ = applyText(t, env, changed, "--dry-run")
	require.Equal(t, 0, status)
	require.Equal(t, want+"dry run: nothing was written\n", stdout)
	status, stdout, _ = applyText(t, env, changed)
	require.Equal(t, 0, status)
	require.Equal(t, want, stdout)
	status, stdout, _ = command(t, env, "resource", "list")
	require.Equal(t, 0, status)
	require.Equal(t, []string{"studio", "The", "Studio", "6", "30.00", "EUR", "2", "Europe/Paris", "yes"},
		strings.Fields(strings.Split(stdout, "\n")[1]))
}

// M24: apply refuses prices that Stripe always refuses, and writes nothing. A price below
// Stripe's minimum is applied with a warning each time, and doctor repeats it.
func TestResourceApply_PricesThatStripeRefuses(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t)}
	file := func(currency, price string) string {
		return "slug: court\nname: Court\ntimeZone: UTC\nslotLength: 1h\ncurrency: " + currency + "\nprice: \"" +
			price + "\"\n"
	}
	for _, c := range [][3]string{
		{"EUR", "1000000.00", "price must not be more than 999999.99 EUR"},
		{"XYZ", "25.00", "currency is not a currency that Stripe takes"},
		{"KWD", "18.605", "price must end in 0"}, {"ISK", "25.50", "price is"}, {"UGX", "0.50", "price is"},
		{"JPY", "10.5", "price is"},
	} {
		for _, args := range [][]string{nil, {"--dry-run"}} {
			status, stdout, stderr := applyText(t, env, file(c[0], c[1]), args...)
			require.Equal(t, 1, status, c)
			require.Empty(t, stdout)
			require.Contains(t, stderr, c[2])
		}
	}
	status, stdout, stderr := command(t, env, "resource", "list")
	require.Equal(t, 0, status, stderr)
	require.NotContains(t, stdout, "court")

	const warned = "  warning: price is 0.25 EUR: less than 0.50 EUR, the least that Stripe charges for an account paid out in EUR\n"
	status, stdout, stderr = applyText(t, env, file("EUR", "0.25"), "--dry-run")
	require.Equal(t, 0, status, stderr)
	require.Equal(t, "court: created\n"+warned+"dry run: nothing was written\n", stdout)
	_, stdout, _ = applyText(t, env, file("EUR", "0.25"))
	require.Equal(t, "court: created\n"+warned, stdout)
	_, stdout, _ = applyText(t, env, file("EUR", "0.25"))
	require.Equal(t, "court: unchanged\n"+warned, stdout)
	_, stdout, _ = command(t, env, "doctor")
	require.Contains(t, stdout, "warning  prices: Stripe may refuse to charge one person: court: price is 0.25 EUR")
	_, stdout, _ = applyText(t, env, file("EUR", "0.00"))
	require.Equal(t, "court: changed\n  ~ price: 0.25 EUR -> 0.00 EUR\n", stdout, "free of charge is not charged")
	// M4: shillings are printed and read without decimals.
	_, stdout, _ = applyText(t, env, file("UGX", "50000"))
	require.Equal(t, "court: changed\n  ~ price: 0.00 EUR -> 50000 UGX\n  ~ policy.fee: 0.00 EUR -> 0 UGX\n", stdout)
	_, stdout, _ = command(t, env, "resource", "show", "court")
	require.Contains(t, stdout, "currency: UGX\nprice: \"50000\"\n")
}

// Each example file can be applied twice.
func TestResourceApply_ExampleFiles(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t)}
	for name, want := range map[string]string{
		"tours.yaml": "harbour-tour: created\nnight-tour: created\n", "room.json": "room: created\n",
	} {
		file := filepath.Join("testdata", "resources", name)
		status, stdout, stderr := command(t, env, "resource", "apply", "-f", file)
		require.Equal(t, 0, status, stderr)
		require.Equal(t, want, stdout)
		_, stdout, _ = command(t, env, "resource", "apply", "-f", file)
		require.Equal(t, strings.ReplaceAll(want, "created", "unchanged"), stdout)
	}
	status, shown, _ := command(t, env, "resource", "show", "harbour-tour", "night-tour", "room")
	require.Equal(t, 0, status)
	_, stdout, _ := applyText(t, env, shown)
	require.Equal(t, "harbour-tour: unchanged\nnight-tour: unchanged\nroom: unchanged\n", stdout)
}

// When one resource of a file is invalid or refused, none is written.
func TestResourceApply_OneRefusedWritesNone(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	env := map[string]string{"DATABASE_URL": url}
	tour := "slug: tour\nname: Tour\ntimeZone: Europe/Paris\nslotLength: 1h\ncapacity: 8\ncurrency: EUR\nprice: \"10.00\"\n"
	status, _, stderr := applyText(t, env, tour)
	require.Equal(t, 0, status, stderr)

	other := strings.Replace(tour, "tour", "other", 1)
	status, stdout, stderr := applyText(t, env, other+"---\n"+tour+"colour: red\nprice: 1\n")
	require.Equal(t, 1, status)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "host: -: 2 problems\n  line 16: tour.colour is unknown")

	db := testdb.Open(t, testdb.PQ, url)
	store, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	start := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour)
	sold, err := store.Hold(t.Context(), booking.HoldRequest{
		Resource: "tour", Start: start, Party: 5,
		Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
	})
	require.NoError(t, err)
	for _, args := range [][]string{nil, {"--dry-run"}} {
		status, stdout, stderr = applyText(t, env, other+"---\n"+strings.Replace(tour, "8", "4", 1), args...)
		require.Equal(t, 1, status)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "host: tour: capacity 4 is too small: 5 units are sold at one time; these bookings prevent it (times in Europe/Paris):\n  "+sold.ID)
		require.Contains(t, stderr, "party 5  pending")
		require.NotContains(t, stderr, "Ada")
	}
	_, stdout, _ = command(t, env, "resource", "list")
	require.NotContains(t, stdout, "other")
	status, _, stderr = applyText(t, env, strings.Replace(tour, "8", "5", 1))
	require.Equal(t, 0, status, stderr)
}

func TestResourceApply_FileMissing(t *testing.T) {
	t.Parallel()
	status, _, stderr := command(t, nil, "resource", "apply", "-f", filepath.Join(t.TempDir(), "nothing.yaml"))
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "nothing.yaml")
}
