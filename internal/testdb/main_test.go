package testdb_test

import (
	"os"
	"testing"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// holdVariable makes this test binary one that a test watches.
const holdVariable = "TESTDB_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdVariable) != "" {
		testdb.Main(testdb.Hold{})
	}
	testdb.Main(m)
}
