package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

type listAnswer struct {
	Items []struct{ ID, Start, Email, Status string }
	Meta  struct {
		Count       int
		Next        string
		Total       *int
		TotalIsMore *bool
	}
}

// held holds slots of the sample resource, the last one first, and returns their starts
// in order.
func held(t *testing.T, h *running, n int) (starts []string) {
	t.Helper()
	c := h.client()
	for i := range n {
		starts = append(starts, c.slot(i))
	}
	for i := range starts {
		at := starts[len(starts)-1-i]
		_, err := h.Bookings().Hold(t.Context(), booking.HoldRequest{
			Resource: "studio", Start: mustTime(t, at), Party: 1, Reference: "order " + fmt.Sprint(i%2),
			Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace",
				Email: fmt.Sprintf("ada%d@example.com", i)},
		})
		require.NoError(t, err)
	}
	return starts
}

func TestAPIList_Filters(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	starts := held(t, h, 5)
	admin := h.admin()
	all := func(query string) (got []string) {
		t.Helper()
		path := "/api/bookings?" + query
		for {
			a := admin.get(path)
			require.Equal(t, http.StatusOK, a.status, a.body)
			var list listAnswer
			a.into(t, &list)
			require.Len(t, list.Items, list.Meta.Count)
			require.Nil(t, list.Meta.Total)
			for _, item := range list.Items {
				got = append(got, item.Start)
			}
			if list.Meta.Next == "" {
				return got
			}
			path = "/api/bookings?" + query + "&after=" + url.QueryEscape(list.Meta.Next)
		}
	}
	require.Equal(t, starts, all("limit=2"), "the newest is the first by time")
	require.Equal(t, starts, all("limit=2&order=start&status=pending&status=confirmed,expired"))
	down := all("limit=3&order=-start&resource=studio")
	require.Equal(t, starts[0], down[4])
	require.Equal(t, down, all("order=created"))
	require.Equal(t, starts[4:], all("customer=ADA0@example.com"))
	require.Equal(t, []string{starts[4], starts[2], starts[0]}, all("reference=order+0&order=-start&limit=1"))
	require.Equal(t, starts[1:3], all("order=start&from="+url.QueryEscape(starts[1])+"&to="+url.QueryEscape(starts[3])))
	day := starts[0][:len(time.DateOnly)]
	require.Contains(t, all("resource=studio&from="+day+"&to="+day), starts[0], "a date as the end is in")
	require.Empty(t, all("status=cancelled"))
	require.Empty(t, all("resource=nowhere&from="+day))
	require.Empty(t, all("kind=block"))

	var list listAnswer
	admin.get("/reservations?total=true&limit=2").into(t, &list)
	require.Equal(t, 2, list.Meta.Count)
	require.Equal(t, 5, *list.Meta.Total)
	require.False(t, *list.Meta.TotalIsMore)

	next := url.QueryEscape(list.Meta.Next)
	for query, field := range map[string]string{
		"order=id": "order", "limit=x": "limit", "kind=x": "kind", "resource=No+Slug": "resource",
		"customer=%00": "customer", "from=x": "from",
		"to=10000-01-01T00:00:00Z": "to", "from=0001-01-01T00:00:00Z": "from", "from=2027-01-02&to=2027-01-01": "to",
		"total=perhaps": "total",
		"after=x":       "after", "status=": "status", "status=pending,": "status", "order=start&order=start": "order",
		"offset=5":                  "offset",
		"order=start&after=" + next: "after", "customer=x&after=" + next: "after",
		"after=" + strings.Repeat("A", 10_000): "after",
	} {
		a := admin.get("/api/bookings?" + query)
		require.Equal(t, http.StatusBadRequest, a.status, "%.80s: %.200s", query, a.body)
		_, fields := a.code(t)
		require.Equal(t, []string{field}, keys(fields), "%.80s", query)
	}
	require.Equal(t, http.StatusUnauthorized, h.client().get("/api/bookings").status)
}

func TestDashboard_ListsByTime(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	starts := held(t, h, 5)
	admin := h.admin()
	page := admin.get("/dashboard")
	require.Equal(t, http.StatusOK, page.status)
	last := -1
	for i := range starts {
		at := strings.Index(page.body, fmt.Sprintf("ada%d@example.com", len(starts)-1-i))
		require.Greater(t, at, last, "by time")
		last = at
	}
	require.NotContains(t, page.body, "Next page")
	page = admin.get("/dashboard?from=&status=pending&resource=studio&customer=ADA3@example.com")
	require.Contains(t, page.body, "ada3@example.com")
	require.NotContains(t, page.body, "ada2@example.com")
	require.Contains(t, page.body, `<option selected>pending</option>`)
	require.Contains(t, page.body, `<option value="studio" selected>`)
	require.Contains(t, admin.get("/dashboard?status=no_show").body, "No bookings.")
	for query, problem := range map[string]string{
		"from=x": "from must be a date", "status=x": "status is not a status", "customer=%00": "customer contains",
		"after=x": "after is not where",
	} {
		page := admin.get("/dashboard?" + query)
		require.Equal(t, http.StatusBadRequest, page.status)
		require.Contains(t, page.body, problem)
	}
}

func TestAPIList_Pages(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada, admin := h.client(), h.admin()
	var made [3]created
	for i := range made {
		ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &made[i])
		_, err := h.StripeFake().Pay(t.Context(), made[i].StripeSessionID)
		require.NoError(t, err)
	}
	for path, newest := range map[string]string{"/reservations": made[2].ID, "/payments": made[2].StripeSessionID} {
		// Bookings have a cursor, events the last event.
		goOn := map[string]string{"/reservations": "&after=", "/payments": "&before="}[path]
		var seen []string
		next := ""
		for range 4 {
			var list struct {
				Items []struct{ ID, StripeSessionID string }
				Meta  struct {
					Count int
					Next  string
				}
			}
			address := path + "?limit=2"
			if next != "" {
				address += goOn + url.QueryEscape(next)
			}
			admin.get(address).into(t, &list)
			require.Len(t, list.Items, list.Meta.Count)
			for _, item := range list.Items {
				seen = append(seen, item.ID+" "+item.StripeSessionID)
			}
			if next = list.Meta.Next; next == "" {
				break
			}
		}
		require.Len(t, seen, 3, path)
		require.Contains(t, seen[0], newest, "the newest first")
	}
}
