/*
 * Fire, trigger, pause or delete, cancel, finish and the watchdog, over one schedule with one due occurrence.
 *
 * Each WITHOUT_<name> takes one guard out; test/model/guards.ts says which of core/ it is.
 */
#include "common.pml"

/* Of a schedule. */
#define ACTIVE 0
#define PAUSED 1
#define DELETING 2
#define DELETED 3
/* Of the occurrence. The last is only a decision: it is skipped because of what is live. */
#define UNDECIDED 0
#define BUFFERED 1
#define DISPATCHED 2
#define SKIPPED 3
#define OVERLAPS 4
/* Of a run. */
#define ABSENT 0
#define LIVE 1
#define ENDED 2
/* Overlap policies. */
#define SKIP 0
#define BUFFER_ONE 1
#define ALLOW_ALL 2

/* The schedule's row. Of its live runs, bit 0 is the occurrence's run, and bit 1 the run by hand. */
byte policy;
byte status = ACTIVE;
byte liveRuns;
bool buffer;
bool decidedThrough;
/* Who has read them under a guard: the schedule's `version` and `liveSeq`, the runs, and that there is no occurrence yet. */
short version;
short liveSeq;
short workVersion[2];
short noOccurrence;
/* The occurrence's row; the runs' rows, and whether an execution was started for them. */
byte occurrence = UNDECIDED;
byte work[2];
bool placed[2];

/* By process, between its read and its commit: what it has decided, and the live runs that it has read. */
byte decision[PROCESSES];
byte live[PROCESSES];

/* What is known outside: a pause or a delete was acknowledged. And whether a run of the occurrence was ever made. */
bool stopKnown;
bool deleteKnown;
bool made;
/* The second delivery is the one that begins later: which is which makes no difference. */
bool delivered;

#define ANY_LIVE (work[0] == LIVE || work[1] == LIVE)
#define COUNTED(r) (((liveRuns >> r) & 1) == (work[r] == LIVE))

#ifdef WITHOUT_fire_occurrenceOnce
#define WITHOUT_fire_liveSetUnchanged
#define FIRE_OCCURRENCE skip
#else
#define FIRE_OCCURRENCE under(noOccurrence)
#endif
#ifdef WITHOUT_fire_liveSetUnchanged
#define FIRE_LIVE_SEQ skip
#else
#define FIRE_LIVE_SEQ under(liveSeq)
#endif
#ifdef WITHOUT_fire_scheduleUnchanged
#define FIRE_VERSION skip
#else
#define FIRE_VERSION under(version)
#endif
#ifdef WITHOUT_trigger_scheduleUnchanged
#define TRIGGER_VERSION skip
#else
#define TRIGGER_VERSION under(version)
#endif
#ifdef WITHOUT_trigger_liveSetUnchanged
#define TRIGGER_LIVE_SEQ skip
#else
#define TRIGGER_LIVE_SEQ under(liveSeq)
#endif
#ifdef WITHOUT_finish_scheduleUnchanged
#define FINISH_VERSION skip
#else
#define FINISH_VERSION under(version)
#endif
#ifdef WITHOUT_finish_liveSetUnchanged
#define FINISH_LIVE_SEQ skip
#else
#define FINISH_LIVE_SEQ under(liveSeq)
#endif
#ifdef WITHOUT_advance_scheduleUnchanged
#define ADVANCE_VERSION skip
#else
#define ADVANCE_VERSION under(version)
#endif
#ifdef WITHOUT_advance_liveSetUnchanged
#define ADVANCE_LIVE_SEQ skip
#else
#define ADVANCE_LIVE_SEQ under(liveSeq)
#endif
#ifdef WITHOUT_schedule_liveSetUnchanged
#define STOP_LIVE_SEQ skip
#else
#define STOP_LIVE_SEQ under(liveSeq)
#endif
#ifdef WITHOUT_watchdog_placing
#define WATCHDOG_PLACES false
#else
#define WATCHDOG_PLACES true
#endif
#ifdef WITHOUT_watchdog_settling
#define WATCHDOG_SETTLES false
#else
#define WATCHDOG_SETTLES true
#endif
#ifdef WITHOUT_watchdog_calling
#define WATCHDOG_CALLS false
#else
#define WATCHDOG_CALLS true
#endif

inline forget(who) {
	decision[who] = 0; live[who] = 0;
	standing = standing & ~(1 << who);
	version = version & ~(1 << who); liveSeq = liveSeq & ~(1 << who); noOccurrence = noOccurrence & ~(1 << who);
	workVersion[0] = workVersion[0] & ~(1 << who); workVersion[1] = workVersion[1] & ~(1 << who)
}

#define stand() standing = standing | ME; live[_pid] = liveRuns

/* A run of the occurrence: by a fire, or by the advance of the buffer. */
inline makeRun() {
	I1(!made);
	I4(!stopKnown);
	I10(policy == ALLOW_ALL || !ANY_LIVE);
	made = true;
	work[0] = LIVE;
	occurrence = DISPATCHED;
	liveRuns = live[_pid] | 1
}

/* Its execution has a name of its own: to start it twice is to start it once. */
inline place(r) {
	if
	:: work[r] == LIVE -> placed[r] = true
	:: else
	fi
}

inline readForFire() {
	if
	:: status != ACTIVE -> decision[_pid] = SKIPPED
	:: status == ACTIVE && liveRuns != 0 && policy == SKIP -> decision[_pid] = OVERLAPS
	:: status == ACTIVE && liveRuns != 0 && policy == BUFFER_ONE -> decision[_pid] = BUFFERED
	:: else -> decision[_pid] = DISPATCHED
	fi;
	FIRE_OCCURRENCE; FIRE_LIVE_SEQ; FIRE_VERSION; stand()
}

inline commitFire() {
	I5(occurrence == UNDECIDED);
	I4((decision[_pid] != OVERLAPS && decision[_pid] != BUFFERED) || ANY_LIVE);
	if
	:: decision[_pid] == DISPATCHED -> makeRun()
	:: decision[_pid] == BUFFERED -> buffer = true; occurrence = BUFFERED
	:: else -> occurrence = SKIPPED
	fi;
	decidedThrough = true;
	forget(_pid); changed(liveSeq); changed(noOccurrence)
}

inline readForFinish(r) {
	under(workVersion[r]); FINISH_LIVE_SEQ; FINISH_VERSION; stand();
	decision[_pid] = (status == DELETING)
}

inline commitFinish(r) {
	I3(work[r] != ENDED);
	work[r] = ENDED;
	if
	:: (live[_pid] >> r) & 1 ->
		liveRuns = live[_pid] & ~(1 << r);
		if
		:: decision[_pid] && liveRuns == 0 -> status = DELETED
		:: else
		fi
	:: else
	fi;
	I10(COUNTED(0) && COUNTED(1));
	forget(_pid); changed(workVersion[r]); changed(liveSeq);
	if
	:: status == DELETED -> changed(version)
	:: else
	fi
}

#define WAITS_FOR_NOBODY (buffer && liveRuns == 0 && status == ACTIVE)

/* What waits in the buffer has its turn once nothing is live. */
inline readForAdvance() {
	ADVANCE_LIVE_SEQ; ADVANCE_VERSION; stand()
}

inline commitAdvance() {
	makeRun();
	buffer = false;
	forget(_pid); changed(liveSeq)
}

/* Or not: nobody else may rely on it. */
inline mayHappen() {
	if
	:: goto over
	:: true
	fi
}

/* One delivery of the clock: it may get lost, be cut short after its commit, or come again because its answer got lost. */
proctype Delivery(bool second) {
	atomic { !second || delivered; delivered = true };
	mayHappen();
read:
	atomic {
		if
		:: decidedThrough -> goto known
		:: else -> readForFire()
		fi
	};
	atomic {
		if
		:: STANDS -> commitFire();
			if
			:: crashLeft -> crashLeft = false; goto over
			:: lossLeft -> lossLeft = false; goto read
			:: true
			fi
		:: else -> goto read
		fi
	};
known:
	atomic {
		if
		:: occurrence == DISPATCHED -> place(0)
		:: else
		fi
	}
over:	skip
}

/* By hand. It goes on where the schedule is paused, but not where it is deleted or its policy is in the way. */
proctype Trigger() {
	mayHappen();
read:
	atomic {
		if
		:: status == DELETING || status == DELETED || (liveRuns != 0 && policy != ALLOW_ALL) -> goto over
		:: else -> TRIGGER_LIVE_SEQ; TRIGGER_VERSION; stand()
		fi
	};
	atomic {
		if
		:: STANDS ->
			I4(!deleteKnown);
			I10(policy == ALLOW_ALL || !ANY_LIVE);
			work[1] = LIVE;
			liveRuns = live[_pid] | 2;
			forget(_pid); changed(liveSeq);
			if
			:: crashLeft -> crashLeft = false; goto over
			:: true
			fi
		:: else -> goto read
		fi
	};
	atomic { place(1) }
over:	skip
}

/* A pause, or a delete with cancelRuns. Both settle what is buffered. */
proctype Stop() {
	mayHappen();
read:
	atomic {
		STOP_LIVE_SEQ; under(version); stand(); decision[_pid] = buffer
	};
	atomic {
		if
		:: STANDS ->
			if
			:: decision[_pid] -> I5(occurrence == BUFFERED); occurrence = SKIPPED
			:: else
			fi;
			buffer = false;
			if
			:: status = PAUSED
			:: live[_pid] == 0 -> status = DELETED; deleteKnown = true
			:: live[_pid] != 0 -> status = DELETING; deleteKnown = true
			fi;
			stopKnown = true;
			forget(_pid); changed(version)
		:: else -> goto read
		fi
	}
over:	skip
}

/* What becomes of a run that has its execution: its work ends, and its end calls what waits for it. */
proctype Life(byte r) {
end:
	placed[r];
read:
	atomic {
		if
		:: work[r] == ENDED -> goto over
		:: else -> readForFinish(r)
		fi
	};
	atomic {
		if
		:: STANDS -> commitFinish(r);
			if
			:: crashLeft -> crashLeft = false; goto over
			:: true
			fi
		:: else -> goto read
		fi
	};
call:
	atomic {
		if
		:: !WAITS_FOR_NOBODY -> goto over
		:: else -> readForAdvance()
		fi
	};
	atomic {
		if
		:: STANDS -> commitAdvance()
		:: else -> goto call
		fi
	}
over:	skip
}

/* A run that no VM has been told to start ends at once. */
proctype Cancel() {
end:
	work[0] != ABSENT;
	mayHappen();
read:
	atomic {
		if
		:: work[0] == ENDED -> goto over
		:: else -> readForFinish(0)
		fi
	};
	atomic {
		if
		:: STANDS -> commitFinish(0)
		:: else -> goto read
		fi
	}
over:	skip
}

/* The second watchdog is the one that begins while the first is at something: which is which makes no difference. */
#define FIRST_WATCHDOG 8
#define TURN (!second || (standing & (1 << FIRST_WATCHDOG)))

/*
 * Each look is there only while it has something to do: so the system is at rest when nothing moves. A look whose read is
 * lost is over.
 */
proctype Watchdog(bool second) {
	assert(second || _pid == FIRST_WATCHDOG);
end:
	do
	:: atomic { !second && WATCHDOG_PLACES && work[0] == LIVE && !placed[0] -> placed[0] = true }
	:: atomic { !second && WATCHDOG_PLACES && work[1] == LIVE && !placed[1] -> placed[1] = true }
	:: atomic { TURN && WATCHDOG_SETTLES && !decidedThrough -> readForFire() };
		atomic {
			if
			:: STANDS -> commitFire()
			:: else
			fi
		}
	:: atomic { TURN && WATCHDOG_CALLS && WAITS_FOR_NOBODY -> readForAdvance() };
		atomic {
			if
			:: STANDS -> commitAdvance()
			:: else
			fi
		}
	od
}

/* Nothing moves any more. */
proctype Rest() {
	timeout;
	I5(occurrence == DISPATCHED || occurrence == SKIPPED);
	I10(liveRuns == 0);
	I14(!ANY_LIVE && !buffer && status != DELETING)
}

init {
	atomic {
		if
		:: policy = SKIP
		:: policy = BUFFER_ONE
		:: policy = ALLOW_ALL
		fi;
		run Delivery(false); run Delivery(true); run Trigger(); run Stop(); run Cancel();
		run Life(0); run Life(1); run Watchdog(false); run Watchdog(true); run Rest()
	}
}
