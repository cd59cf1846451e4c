package activities

// Large is how many long exports go on ahead.
func (a *Ahead) Large() int { return len(a.large) }
