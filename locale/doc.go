// Package locale has the languages in which customers read pages and messages: the texts
// of both, dates, times, money, and what a cancellation costs. The languages are English
// and French.
//
// The texts are where they are used, in English; [Locale.T] looks their translation up:
//
//	l := locale.Of(b.Language)
//	l.T("Your booking %s is confirmed.", b.Number)
//
// A test reads the calls of T and N, in Go and in templates, and fails on a text without
// a translation and on a translation without a text. What is not in the catalogue is
// returned as it is. The language of a request is [Match] of its Accept-Language, which
// booking.HoldRequest.Language keeps with the booking.
package locale
