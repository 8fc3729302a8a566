package api_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// The API below a prefix of a plain http.ServeMux.
func Example() {
	db, closeDB := testdb.Example()
	defer closeDB()

	a, err := api.New(deps(db), api.Options{URL: "https://example.com/booking"})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/booking/", a)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the rest of the service") })
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, path := range []string{"/", "/booking/api/resources/tennis/next", "/booking/api/bookings"} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			panic(err)
		}
		_ = res.Body.Close()
		fmt.Println(res.StatusCode, strings.TrimSpace(string(body)))
	}
	// Output:
	// 200 the rest of the service
	// 404 {"error":"not_found","requestId":""}
	// 401 {"error":"unauthorized"}
}

// A service's own route answers errors as the API does.
func ExampleErrorOf() {
	book := func() error { return fmt.Errorf("order 17: %w", booking.ErrSlotTaken) }
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		if err := book(); err != nil {
			e, known := api.ErrorOf(err)
			if !known {
				slog.ErrorContext(r.Context(), "order failed", "error", err)
			}
			e.RequestID = r.Header.Get("X-Request-Id")
			e.Write(w)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/orders", nil))
	fmt.Println(w.Code, w.Body)
	// Output:
	// 409 {"error":"slot_taken","requestId":""}
}
