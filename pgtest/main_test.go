package pgtest_test

import (
	"os"
	"testing"

	"github.com/booking-platform/booking-platform/pgtest"
)

// holdVariable makes this test binary one that a test watches.
const holdVariable = "PGTEST_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdVariable) != "" {
		pgtest.Main(pgtest.Hold{})
	}
	pgtest.Main(m)
}
