package middleware_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
)

func TestSQLState(t *testing.T) {
	t.Parallel()
	require.Equal(t, "42P01", middleware.SQLState(fmt.Errorf("list: %w", &pq.Error{Code: "42P01"})))
	require.Empty(t, middleware.SQLState(errors.New("no database's")))
	require.Empty(t, middleware.SQLState(nil))
}
