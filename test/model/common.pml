/*
 * What both models share.
 *
 * A use case reads in one step, decides, and commits in a later step under its guards. A guard compares a row's version
 * with the one that was read. All that this comparison tells is whether the row has changed in between, and all that a
 * lost guard leads to is another read; so here each row has the set of those who have read it under a guard, and a change
 * of the row sends all of them back. Without its guard a use case is not in the set, and commits what it has decided.
 */
#define ME (1 << _pid)
#define PROCESSES 12

/* Whose read stands. */
short standing;
/* Whose read is lost: only within a step. */
short lost;
byte who;

#define under(row) row = row | ME
#define STANDS (standing & ME)

/* Each happens at most once, to whoever comes first. */
bool crashLeft = true;
bool lossLeft = true;

/*
 * The invariants as assertions. All of them are checked, or with -DONLY=<number> that one alone: the removal of a guard
 * must break the invariant that it is there for, not just any.
 */
#if !defined(ONLY) || ONLY == 1
#define I1(holds) assert(holds)
#else
#define I1(holds) skip
#endif
#if !defined(ONLY) || ONLY == 2
#define I2(holds) assert(holds)
#else
#define I2(holds) skip
#endif
#if !defined(ONLY) || ONLY == 3
#define I3(holds) assert(holds)
#else
#define I3(holds) skip
#endif
#if !defined(ONLY) || ONLY == 4
#define I4(holds) assert(holds)
#else
#define I4(holds) skip
#endif
#if !defined(ONLY) || ONLY == 5
#define I5(holds) assert(holds)
#else
#define I5(holds) skip
#endif
#if !defined(ONLY) || ONLY == 6
#define I6(holds) assert(holds)
#else
#define I6(holds) skip
#endif
#if !defined(ONLY) || ONLY == 7
#define I7(holds) assert(holds)
#else
#define I7(holds) skip
#endif
#if !defined(ONLY) || ONLY == 9
#define I9(holds) assert(holds)
#else
#define I9(holds) skip
#endif
#if !defined(ONLY) || ONLY == 10
#define I10(holds) assert(holds)
#else
#define I10(holds) skip
#endif
#if !defined(ONLY) || ONLY == 13
#define I13(holds) assert(holds)
#else
#define I13(holds) skip
#endif
#if !defined(ONLY) || ONLY == 14
#define I14(holds) assert(holds)
#else
#define I14(holds) skip
#endif

/* The row has changed: whoever has read it under a guard reads again. */
inline changed(row) {
	d_step {
		lost = row;
		for (who : 1 .. PROCESSES - 1) {
			if
			:: (lost >> who) & 1 -> forget(who)
			:: else
			fi
		}
		lost = 0; who = 0
	}
}
