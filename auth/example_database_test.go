package auth_test

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// exampleTB is a testing.TB for examples: failures panic.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper() {}

func (e *exampleTB) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

func (*exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func exampleDatabase() (*sql.DB, func()) {
	e := &exampleTB{}
	return testdb.New(e), func() {
		for n := len(e.cleanups) - 1; n >= 0; n-- {
			e.cleanups[n]()
		}
	}
}

// get prints a response.
func get(c *http.Client, url string) {
	resp, err := c.Get(url)
	if err != nil {
		panic(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(resp.StatusCode, strings.TrimSpace(string(body)))
}
