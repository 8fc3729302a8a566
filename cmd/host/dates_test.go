package main_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// M25: Availability by date, the week page, lists by date and date and time in a request
// all mean the day on the wall clock.
func TestDates_MidnightThatDoesNotExist(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{Slug: "obs", Name: "Observatory", TimeZone: "America/Santiago",
		SlotLength: time.Hour, Capacity: 30})
	zone, err := time.LoadLocation("America/Santiago")
	require.NoError(t, err)
	day := time.Now().In(zone).AddDate(0, 0, 2)
	// Clocks are put forward at midnight once a year.
	for time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone).Day() == day.Day() {
		day = day.AddDate(0, 0, 1)
	}
	date, next := day.Format(time.DateOnly), day.AddDate(0, 0, 1).Format(time.DateOnly)
	first, last := date+"T01:00:00-03:00", date+"T23:00:00-03:00"
	c := h.client()
	starts := func(query string) (all []string) {
		t.Helper()
		var answer struct{ Items []struct{ Start string } }
		c.get("/api/resources/obs/availability?"+query).into(t, &answer)
		for _, item := range answer.Items {
			all = append(all, item.Start)
		}
		return all
	}
	all := starts("from=" + date + "&to=" + date)
	require.Len(t, all, 23)
	require.Equal(t, []string{first, last}, []string{all[0], all[22]})
	require.Equal(t, next+"T00:00:00-03:00", starts("from=" + next + "&to=" + next)[0])
	week := starts("from=" + date)
	require.Len(t, week, 23+6*24)
	before := day.AddDate(0, 0, -7).Format(time.DateOnly)
	week = starts("from=" + before)
	require.Equal(t, day.AddDate(0, 0, -1).Format(time.DateOnly)+"T23:00:00-04:00", week[len(week)-1])

	page := c.get("/?resource=obs&from=" + date).body
	require.Contains(t, page, `value="`+strings.ReplaceAll(first, "+", "&#43;")+`"`)
	require.NotContains(t, page, "-04:00", "nothing of the day before")
	require.Contains(t, c.get("/?resource=obs&from="+before).body, "T23:00:00-04:00",
		"nor does the week before lose its last hour")

	old := func(date, clock string) answer {
		return c.post("/api/bookings", map[string]any{
			"resource": "obs", "date": date, "time": clock, "firstName": "Ada", "lastName": "Lovelace",
			"email": "ada@example.com",
		})
	}
	refused := old(date, "00:30")
	require.Equal(t, http.StatusBadRequest, refused.status, refused.body)
	require.Contains(t, refused.body, "does not exist on that day")
	eve := day.AddDate(0, 0, -1).Format(time.DateOnly)
	for _, made := range []answer{old(date, "01:00"), old(date, "23:00"), old(eve, "23:00")} {
		require.Equal(t, http.StatusCreated, made.status, made.body)
	}
	admin := h.admin()
	for query, want := range map[string][]string{
		"from=" + date + "&to=" + date: {first, last},
		"from=" + eve + "&to=" + eve:   {eve + "T23:00:00-04:00"},
		"from=" + date:                 {first, last},
	} {
		var list listAnswer
		admin.get("/api/bookings?resource=obs&order=start&"+query).into(t, &list)
		var got []string
		for _, item := range list.Items {
			got = append(got, item.Start)
		}
		require.Equal(t, want, got, query)
	}
	dashboard := admin.get("/dashboard?" + url.Values{"resource": {"obs"}, "from": {date}}.Encode()).body
	require.Contains(t, dashboard, "01:00")
	require.NotContains(t, dashboard, "23:00 -04")
	require.Contains(t, admin.get("/dashboard?"+url.Values{"resource": {"obs"}, "from": {eve}}.Encode()).body,
		"23:00 -04")
}
