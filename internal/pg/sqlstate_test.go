package pg_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/pg"
)

func TestSQLState(t *testing.T) {
	t.Parallel()
	require.Equal(t, "42P01", pg.SQLState(fmt.Errorf("list: %w", &pq.Error{Code: "42P01"})))
	require.Empty(t, pg.SQLState(errors.New("not from the database")))
	require.Empty(t, pg.SQLState(nil))
}
