package config

import "strings"

// unknown says that name is no key, and which one may have been meant.
func unknown(name string, keys []key) string {
	best, distance := "", len(name)/3+1
	name = strings.ToLower(name)
	_, bare, _ := strings.Cut(name, ".")
	for _, k := range keys {
		_, own, _ := strings.Cut(k.name, ".")
		if own == bare && best == "" { // the right key in the wrong section
			best = k.name
		}
		// A variable of the environment has no dot.
		if d := editDistance(name, k.name); d < distance {
			best, distance = k.name, d
		}
	}
	if best == "" {
		return "unknown key"
	}
	return "unknown key, did you mean " + best + "?"
}

// editDistance is the Levenshtein distance in octets.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitution := diagonal
			if a[i] != b[j] {
				substitution++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitution, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
