"""Yes or no by the words of the sentence that decides."""

import pytest

from ragkit.answering.readers.verdict import verdict_of

CASES = """
no | Is the museum open on Mondays? | The museum is open Tuesday to Sunday from 10:00 to 17:00.
no | Is the museum open on Mondays? | The museum is closed on Mondays.
yes | Is the museum open on Wednesdays? | The museum is open Tuesday to Sunday from 10:00 to 17:00.
no | Is the pool open on Sunday? | Opening hours: Monday to Friday 7:00-21:00, Saturday 9:00-18:00.
no | Is the shop open at 8 in the evening? | The shop is open from 9:00 to 18:00.
yes | Can I come at 11 am? | Visits are possible between 10:00 and 16:00.
no | Is the library open after 6 pm? | The library closes at 17:00.
no | Are you open daily? | We are open every day except Monday.
no | Do I have to book in advance? | Booking in advance is recommended but not required.
no | Do I have to bring my own towel? | Towels are provided free of charge.
yes | Do I have to wear a helmet? | Helmets must be worn at all times on site.
no | Do I need a visa? | Citizens of the EU can enter without a visa.
no | Do I need to pay for parking? | Parking is free for guests.
no | Is breakfast included? | Breakfast costs 12 euros per person.
yes | Is breakfast included? | The price includes breakfast and towels.
no | Are dogs allowed? | Only guide dogs are permitted in the building.
no | Can I bring my dog? | Pets are not allowed inside the exhibition.
yes | Can I bring my dog? | Dogs on a leash are welcome.
yes | Can I take photos? | Photography without flash is permitted.
no | Can I use flash? | Photography without flash is permitted.
no | May I smoke on the balcony? | Smoking is prohibited in all rooms and on balconies.
yes | Can I cancel for free? | You can cancel free of charge up to 48 hours before arrival.
no | Can I cancel for free one day before arrival? | You can cancel free of charge up to 48 hours before arrival.
yes | Does the battery last more than 5 hours? | The battery lasts up to 8 hours.
no | Does the battery last more than 10 hours? | The battery lasts up to 8 hours.
no | Are more than 20 people allowed in a group? | Groups may have at most 15 people.
yes | Can 12 of us come as one group? | Groups may have at most 15 people.
no | Is the deposit less than 100 euros? | The deposit is 150 euros.
no | Does the warranty cover water damage? | The warranty does not cover damage caused by water.
no | Does the warranty cover water damage? | The warranty covers all damage except water damage.
no | Is water damage covered? | Water damage is excluded from the warranty.
yes | Can children go on the tour? | Children under 12 must be accompanied by an adult.
yes | Is the locker a place for cameras? | Use a tray that is only open to staff, as the locker is a place for cameras.
no | Can I enter without a ticket? | Entry is only possible with a valid ticket.
yes | Can part-time staff join the plan? | The plan is open to all employees, full-time and part-time.
no | Can contractors join the plan? | The plan is limited to permanent employees.
no | Is the course compulsory? | Attendance is optional.
yes | Is it mandatory to register? | Registration is required for all visitors.
yes | Will I lose my leave if I don't use it? | Unused leave expires at the end of March.
no | Can I carry over unused leave? | Unused leave expires at the end of March.
no | Do unused days carry over? | Unused days are forfeited at the end of the year.
yes | Is the building wheelchair accessible? | All floors are accessible by lift.
no | Did the company make a profit in 2020? | In 2020 the company made a loss of 3 million.
yes | Was the bridge built before 1900? | The bridge was completed in 1894.
no | Was the bridge built before 1890? | The bridge was completed in 1894.
no | Is the fee refundable? | The registration fee is non-refundable.
no | Are interns paid? | Internships are unpaid.
no | Does the software run on Linux? | The software runs on Windows and macOS only.
yes | Does the software run on Linux? | Supported platforms are Windows, macOS and Linux.
no | Can I pay by cheque? | We accept cash and cards, but no cheques.
yes | Can I pay in cash? | We accept cash and cards, but no cheques.
yes | Do I have to be a member to borrow books? | Only members may borrow books.
no | Do I need a password to join? | No password is needed.
yes | Isn't the garden closed in winter? | The garden is closed from November to March.
no | Is the garden open in January? | The garden is closed from November to March.
yes | Is the garden open in May? | The garden is closed from November to March.
no | Can I leave my bike at the station overnight? | Bicycles left overnight will be removed.
yes | Should I turn off the power before opening the case? | Always disconnect the power before opening the case.
no | Is it OK to use tap water? | Use distilled water; never use tap water.
no | Can I use tap water in the tank? | Fill the tank with distilled water only.
no | Are late submissions accepted? | Submissions received after the deadline will be rejected.
yes | Does the tour take longer than an hour? | The tour lasts 90 minutes.
no | Do tickets cost more than $20? | A ticket costs $18.
no | Can I get a refund after 30 days? | Refunds are available within 14 days of purchase.
yes | Can I get a refund after 10 days? | Refunds are available within 14 days of purchase.
no | Do I still have to submit the form? | The form is no longer required.
yes | Are students exempt from the fee? | Students are exempt from the fee.
no | Do students have to pay the fee? | Students are exempt from the fee.
no | Do I have to pay tax on it? | The benefit is tax-free.
yes | Do I need approval to travel? | Travel must be approved by your supervisor in advance.
no | Can I travel without approval? | Travel must be approved by your supervisor in advance.
no | Is overtime paid? | Overtime is compensated with time off instead of pay.
no | Is the clinic open on Saturdays? | Surgery hours are Mon-Fri 8 a.m. to 6 p.m.
yes | Is the clinic open on Thursday? | Surgery hours are Mon-Fri 8 a.m. to 6 p.m.
no | Do you deliver on weekends? | Deliveries are made Monday through Friday.
yes | Is the office staffed on Friday afternoons? | The office is staffed on Mondays, Wednesdays and Fridays.
no | Can I visit in December? | The castle is open from April to October.
yes | Can I visit in July? | The castle is open from April to October.
no | Is the cafe open at 7 am? | The cafe opens at 8 am and closes at 4 pm.
yes | Can I check in at 3 pm? | Check-in is possible from 2 pm.
no | Can I check in at noon? | Check-in is possible from 2 pm.
yes | Is the gym closed on public holidays? | The gym is closed on public holidays.
no | Is there a train after midnight? | The last train leaves at 23:40.
yes | Do I need a licence to fish here? | A fishing licence is required for anyone over 16.
no | Do I have to return the keys in person? | You can drop the keys in the letter box.
yes | Do I have to pay a deposit? | A deposit of 200 euros is payable on arrival.
no | Must I wear safety shoes? | Safety shoes are optional in the visitors' area.
yes | Can I bring a guest? | Each member may bring one guest.
no | May I record the session? | Recording sessions is forbidden.
yes | Are refunds possible after 14 days? | Refunds are possible within 30 days.
no | Does the device weigh less than 2 kg? | The device weighs 2.4 kg.
no | Does it take more than two weeks? | Processing takes 3 to 5 business days.
yes | Is the minimum age under 18? | The minimum age is 16 years.
no | Was the company founded after 2000? | The company was founded in 1987.
yes | Was the company founded before 2000? | The company was founded in 1987.
no | Does the plan cover dental treatment? | The plan excludes dental treatment and glasses.
no | Is glass accepted in the recycling bin? | All recyclables except glass and textiles are accepted.
yes | Is paper accepted in the recycling bin? | All recyclables except glass and textiles are accepted.
no | Can trainees use the sauna? | The sauna is reserved for hotel guests.
yes | Can hotel guests use the sauna? | The sauna is reserved for hotel guests.
no | Are seats reservable? | Seats cannot be reserved.
yes | Do passes expire? | Passes expire after twelve months.
no | Can I work from abroad? | Working from abroad is not permitted without written consent.
no | Can I enter the lab without goggles? | Goggles must be worn in the lab.
yes | Can I log in without a password? | You can sign in without a password by using a key.
yes | Is it forbidden to feed the ducks? | Feeding the ducks is prohibited.
yes | Is the tap water drinkable? | Tap water is safe to drink everywhere.
no | Is Wi-Fi free? | Wi-Fi costs 5 euros per day.
no | Has the committee approved the budget? | The committee rejected the budget in March.
no | Does the API support XML? | The API supports JSON only.
no | Did the team win the final? | The team lost the final by two goals.
no | Are pets welcome? | We regret that pets are not welcome.
yes | Will the road be closed on Sunday? | The road will be closed from Saturday to Monday.
"""


@pytest.mark.parametrize("case", CASES.strip().splitlines())
def test_verdict_of(case):
    expected, question, sentence = case.split(" | ")
    assert verdict_of(question, sentence) == expected


@pytest.mark.parametrize("sentence", ["", "?", "| a | b |", "25:99 31 Mon-", "…", "only only only", "except"])
@pytest.mark.parametrize("question", ["Is it open on Monday after 25:70?", "More than 5 hours?", "Can I?", "?"])
def test_any_sentence_gives_a_verdict(question, sentence):
    assert verdict_of(question, sentence) in ("yes", "no")
