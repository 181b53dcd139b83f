// Package quantity finds quantities that the library cannot read in any useful
// time: it computes all the digits of 1e-2147483647. They must be found in a
// request before the library sees them.
package quantity

import (
	"math"
	"strconv"
	"strings"
)

// No machine has more or less of anything: the largest number of a quantity's
// own making has 19 digits, the smallest 9 after the point.
const (
	maxExponent = 1000
	maxLength   = 1000
)

// Endless says whether reading text, or computing with what was read, would
// take the library very long. What is no quantity at all is not endless: the
// library says so at once.
func Endless(text string) bool {
	text = strings.TrimSpace(text)
	if len(text) > maxLength {
		return strings.Trim(text, "+-.0123456789eEinumkKMGTP") == ""
	}
	at := strings.IndexAny(text, "eE")
	if at < 0 || at == len(text)-1 {
		return false
	}
	exponent, err := strconv.ParseInt(text[at+1:], 10, 64)
	if err != nil {
		return false
	}
	return math.Abs(float64(int32(exponent))) > maxExponent // the library cuts it to 32 bits, too
}

// suspicious says whether text may hold an endless quantity, at the cost of
// reading it once. It is often wrong for digests and never misses one that is
// spelled without escapes.
func suspicious(text []byte) bool {
	digits := 0 // in a row, points included
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9' || c == '.':
			if digits++; digits > maxLength/4 {
				return true
			}
			continue
		case (c == 'e' || c == 'E') && digits > 0 && largeExponent(text[i+1:]):
			return true
		}
		digits = 0
	}
	return false
}

// largeExponent says whether text begins with a number of at least four digits.
func largeExponent(text []byte) bool {
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		text = text[1:]
	}
	if len(text) < 4 {
		return false
	}
	for _, c := range text[:4] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
