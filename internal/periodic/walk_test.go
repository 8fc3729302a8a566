package periodic_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/periodic"
)

// table has rows 1, 2, 3, …, of which some are visited again, and counts what is read.
type table struct {
	rows  int
	again map[int]bool
	read  []int
}

func (tb *table) page(after periodic.Place) (settled int, rows []periodic.Visit, err error) {
	for n := 1; n <= tb.rows && len(rows) < 2; n++ {
		at := periodic.Place{Start: time.Unix(int64(n), 0).UTC(), ID: fmt.Sprintf("row %d", n)}
		if !at.Start.After(after.Start) {
			continue
		}
		tb.read = append(tb.read, n)
		rows = append(rows, periodic.Visit{Place: at, Again: tb.again[n]})
		if !tb.again[n] {
			settled++
		}
	}
	return settled, rows, nil
}

// The next walk begins with the first row that has to be visited again, or goes on after
// the last one.
func TestWalk_Run(t *testing.T) {
	t.Parallel()
	var walk periodic.Walk
	tb := &table{rows: 5, again: map[int]bool{3: true, 5: true}}
	run := func(want int, read ...int) {
		t.Helper()
		tb.read = nil
		n, err := walk.Run(time.Minute, 2, tb.page)
		require.NoError(t, err)
		require.Equal(t, want, n)
		require.Equal(t, read, tb.read)
	}
	run(3, 1, 2, 3, 4, 5)
	tb.again = map[int]bool{5: true}
	run(2, 3, 4, 5)
	tb.rows = 6
	tb.again = nil
	run(2, 5, 6)
	run(0)
	tb.rows = 7
	run(1, 7)
}

// The first row of all may have to be visited again.
func TestWalk_FirstRowAgain(t *testing.T) {
	t.Parallel()
	var walk periodic.Walk
	tb := &table{rows: 3, again: map[int]bool{1: true}}
	for range 2 {
		tb.read = nil
		_, err := walk.Run(time.Minute, 2, tb.page)
		require.NoError(t, err)
		require.Equal(t, []int{1, 2, 3}, tb.read)
	}
}

// A page that fails is read again; what it settled before counts.
func TestWalk_PageFails(t *testing.T) {
	t.Parallel()
	var walk periodic.Walk
	tb := &table{rows: 3}
	broken := errors.New("planted")
	n, err := walk.Run(time.Minute, 2, func(after periodic.Place) (int, []periodic.Visit, error) {
		settled, rows, _ := tb.page(after)
		if len(tb.read) > 2 {
			return 1, rows, broken
		}
		return settled, rows, nil
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, 3, n)
	tb.read = nil
	n, err = walk.Run(time.Minute, 2, tb.page)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []int{3}, tb.read)
}

func TestWalk_TimeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var walk periodic.Walk
		tb := &table{rows: 5}
		slow := func(after periodic.Place) (int, []periodic.Visit, error) {
			time.Sleep(2 * time.Minute)
			return tb.page(after)
		}
		for _, want := range []int{2, 2, 1} {
			n, err := walk.Run(time.Minute, 2, slow)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		require.Equal(t, []int{1, 2, 3, 4, 5}, tb.read)
	})
}
