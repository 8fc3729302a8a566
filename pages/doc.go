// Package pages is what people see: the page that books, the ones they come back to, and
// the operators' own.
//
// Everything works without JavaScript, and there is none: a page is a form and an answer.
// Nothing is inline, so that the Content-Security-Policy can forbid it. Visiting a page
// changes nothing; what changes something is a POST.
package pages
