package main_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// many raises the limits of open holds: these tests are about slots.
var many = map[string]string{"HOLDS_PER_EMAIL": "200", "HOLDS_PER_ADDRESS": "200"}

// fight has n clients book the same thing at the same moment, and counts the answers.
func (r *running) fight(n int, body m) map[int]int {
	r.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(r.t, err)
	http := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	begin := make(chan struct{})
	var mu sync.Mutex
	var all sync.WaitGroup
	statuses := map[int]int{}
	for range n {
		all.Go(func() {
			<-begin
			status := 0
			if res, err := http.Post(r.URL()+"/api/bookings", "application/json", bytes.NewReader(raw)); err == nil {
				status = res.StatusCode
				res.Body.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	close(begin)
	all.Wait()
	return statuses
}

func TestHundredClientsOneSlot(t *testing.T) {
	t.Parallel()
	h := startHost(t, many)
	require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusConflict: 99},
		h.fight(100, wish(h.client().slot(0), nil)))
	require.Equal(t, 1, h.count("bookings"))
	require.Len(t, h.StripeFake().Sessions(), 1)
}

func TestThirtyTwoClientsThirtyTwoUnits(t *testing.T) {
	t.Parallel()
	h := startHost(t, many)
	h.addResource(booking.Resource{Slug: "tour", Name: "Tour", Capacity: 32,
		Price: booking.Money{Minor: 1500, Currency: "eur"}})
	start := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour).Format(time.RFC3339)
	require.Equal(t, map[int]int{http.StatusCreated: 32}, h.fight(32, wish(start, m{"resource": "tour"})))
	require.Equal(t, 32, h.count("bookings"))
	require.Equal(t, map[int]int{http.StatusConflict: 8}, h.fight(8, wish(start, m{"resource": "tour"})), "sold out")
}
