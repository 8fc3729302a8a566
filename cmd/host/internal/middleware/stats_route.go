package middleware

import "time"

// Answered is one request and what came of it.
type Answered struct {
	// Route is the template of its route, empty where it had none; Method is as it was
	// sent.
	Route, Method string
	// Status is the answer's; 0 where the client had gone, or was cut off before one
	// began.
	Status int
	// Took is from its head to the end of the answer.
	Took time.Duration
}

// OnAnswer has f called for each request, when it is over; f should return at once. It is
// set before the first request.
func (s *Stats) OnAnswer(f func(Answered)) { s.answered = f }

func (s *Stats) note(route, method string, status int, took time.Duration, gone bool) {
	if s.answered == nil {
		return
	}
	// What fails because the client has gone is no failure of the host's.
	if gone && status >= 500 {
		status = 0
	}
	s.answered(Answered{Route: route, Method: method, Status: status, Took: took})
}
