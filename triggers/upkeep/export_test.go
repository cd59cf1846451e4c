package upkeep

import "time"

// SetYouth has things older than d count as set up before.
func (u *Upkeep) SetYouth(d time.Duration) { u.youth = d }
