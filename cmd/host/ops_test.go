package main_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// rule is an alarm of ops/alerts.yml.
type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) (all []rule) {
	t.Helper()
	content, err := os.ReadFile("../../ops/alerts.yml")
	require.NoError(t, err)
	var file struct{ Groups []struct{ Rules []rule } }
	require.NoError(t, yaml.Unmarshal(content, &file))
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// panel is a panel of ops/grafana-dashboard.json.
type panel struct {
	ID          int
	Type, Title string
	Datasource  struct{ Type, UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		Datasource struct{ UID string }
		Expr       string
	}
}

func panels(t *testing.T) []panel {
	t.Helper()
	content, err := os.ReadFile("../../ops/grafana-dashboard.json")
	require.NoError(t, err)
	var board struct {
		Title, UID string
		Panels     []panel
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
	}
	require.NoError(t, json.Unmarshal(content, &board))
	require.NotEmpty(t, board.UID)
	require.Len(t, board.Templating.List, 1)
	require.Equal(t, "datasource", board.Templating.List[0].Name)
	require.Equal(t, "datasource", board.Templating.List[0].Type)
	require.Equal(t, "prometheus", board.Templating.List[0].Query)
	require.NotEmpty(t, board.Panels)
	return board.Panels
}

// The alarms and the dashboard read series, labels and values that a host exposes:
// whoever renames one sees it here and not at night.
func TestOpsReadWhatIsExposed(t *testing.T) {
	t.Parallel()
	s := exposed(t)
	known := map[string]bool{"up": true}
	for _, one := range s.samples {
		known[one.name] = true
	}
	used := map[string]bool{}
	check := func(where, expr string) {
		for _, sel := range selectors(t, expr) {
			used[sel.name] = true
			if !known[sel.name] {
				t.Errorf("%s: no host exposes %s", where, sel.name)
				continue
			}
			for _, m := range sel.matchers {
				if problem := s.problem(sel.name, m); problem != "" {
					t.Errorf("%s: %s", where, problem)
				}
			}
		}
		for _, label := range grouped(expr) {
			if !s.anyHas(selectors(t, expr), label) {
				t.Errorf("%s: groups by %s, which none of its series has", where, label)
			}
		}
	}
	for _, r := range alerts(t) {
		check(r.Alert, r.Expr)
		for _, m := range templateLabel.FindAllStringSubmatch(strings.Join(slices.Collect(maps.Values(r.Annotations)),
			" "), -1) {
			require.True(t, s.anyHas(selectors(t, r.Expr), m[1]), "%s: names %s, which none of its series has", r.Alert,
				m[1])
		}
	}
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			check(p.Title, target.Expr)
		}
	}
	// Of ours each is looked at by somebody; a histogram by one of its three parts.
	for family := range s.types {
		if strings.HasPrefix(family, "booking_") {
			require.True(t, used[family] || used[family+"_count"] || used[family+"_bucket"] || used[family+"_sum"],
				"neither an alarm nor the dashboard reads %s", family)
		}
	}
}

var templateLabel = regexp.MustCompile(`\$labels\.(\w+)`)

// sections are those of RUNBOOK.md that an alarm may name.
var sections = []string{
	"stuck-refund", "parked-payment", "unmatched-event", "disputed-payment", "webhook-retries", "invalid-signatures",
	"database-down",
	"full-disk", "failed-steps", "server-errors", "payment-refused", "pool",
}

func TestAlertsAreWhole(t *testing.T) {
	t.Parallel()
	cases, err := os.ReadFile("../../ops/alerts_test.yml")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, r := range alerts(t) {
		require.Regexp(t, `^Booking[A-Za-z]+$`, r.Alert)
		require.False(t, seen[r.Alert], r.Alert)
		seen[r.Alert] = true
		require.NotEmpty(t, r.For, "%s: one bad scrape is no alarm", r.Alert)
		require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		section, ok := strings.CutPrefix(r.Annotations["runbook"], "RUNBOOK.md#")
		require.True(t, ok, r.Alert)
		require.Contains(t, sections, section, r.Alert)
		require.Contains(t, string(cases), `alertname="`+r.Alert+`"`, "ops/alerts_test.yml has it fire")
	}
}

func TestDashboardIsWhole(t *testing.T) {
	t.Parallel()
	ids := map[int]bool{}
	type cell struct{ x, y int }
	taken := map[cell]string{}
	for _, p := range panels(t) {
		require.NotEmpty(t, p.Title)
		require.False(t, ids[p.ID], "%s: its id is another's too", p.Title)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[cell{x, y}], "%s lies over it", p.Title)
				taken[cell{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.NotEmpty(t, p.Targets, p.Title)
		require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		for _, target := range p.Targets {
			require.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
		}
	}
}

// docs/metrics.md lists our series, all of them and no others, each with its type and its
// labels.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `(booking_\\w+)` \\| (\\w+) \\|([^|]*)\\| [^|]+ \\|$")
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(content), -1) {
		labels := regexp.MustCompile(`\w+`).FindAllString(m[3], -1)
		slices.Sort(labels)
		documented[m[1]] = m[2] + " " + strings.Join(labels, " ")
	}
	s := exposed(t)
	real := map[string]string{}
	for family, kind := range s.types {
		if strings.HasPrefix(family, "booking_") {
			real[family] = kind + " " + strings.Join(s.labels(family, kind), " ")
		}
	}
	require.Equal(t, real, documented)
}
